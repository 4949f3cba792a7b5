"""The TTL-after-finished controller: finished Jobs go when their time is up."""
