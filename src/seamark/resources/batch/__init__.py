"""batch/v1: Job and CronJob."""
