"""The Job controller: pods that run to their end, counted once each."""
