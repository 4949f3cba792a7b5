"""The event expiry: Events older than an hour go."""
