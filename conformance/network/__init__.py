"""Kubernetes' own end-to-end suite, its network part, against a cluster of two nodes: ``make conformance-network``."""
