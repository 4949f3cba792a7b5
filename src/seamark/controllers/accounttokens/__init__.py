"""Secrets of type kubernetes.io/service-account-token: filled in, and gone with their account."""
