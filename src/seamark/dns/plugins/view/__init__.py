"""Plugin view: README.md says what it does, config.py and expression.py read it, handler.py does it."""
