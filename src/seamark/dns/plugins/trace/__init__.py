"""Plugin trace: README.md says what it does, config.py reads it, handler.py makes spans, reporter.py sends them."""
