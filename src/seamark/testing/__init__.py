"""Helpers that ship: builders, a fake clock, a packet tracer, a cluster fixture."""
