"""Plugin tsig: README.md says what it does, config.py reads it, handler.py does it with signing.py."""
