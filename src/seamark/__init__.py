"""Seamark: Kubernetes service discovery, whole — registry, names, virtual IPs, environment variables."""

__version__ = "0.1.0"
