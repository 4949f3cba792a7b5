"""Frozen projections of the fields we read, the snapshot of them, and where each answer comes from."""
