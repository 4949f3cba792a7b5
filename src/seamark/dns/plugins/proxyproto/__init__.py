"""Plugin proxyproto: README.md says what it does, config.py reads it, handler.py does it."""
