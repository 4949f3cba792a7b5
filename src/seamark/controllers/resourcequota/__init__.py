"""The quota controller: counts what a namespace holds."""
