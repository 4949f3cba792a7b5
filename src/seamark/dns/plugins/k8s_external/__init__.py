"""Plugin k8s_external: README.md says what it does, config.py reads it, handler.py does it."""
