"""Autoscalers: replicas between their bounds; no metrics are served, and the conditions say so."""
