"""apps/v1: one module per kind, and what its workloads share."""
