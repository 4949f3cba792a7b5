"""Reconcilers: a folder each with plan.py (pure) and controller.py (wiring)."""
