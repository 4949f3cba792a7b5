"""Plugin dnssec: README.md says what it does, config.py reads it, handler.py does it with keys.py and signing.py."""
