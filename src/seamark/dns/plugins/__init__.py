"""One folder per plugin: README.md, config.py, handler.py."""
