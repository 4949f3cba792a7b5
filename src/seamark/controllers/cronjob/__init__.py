"""The CronJob controller: Jobs at times of the clock."""
