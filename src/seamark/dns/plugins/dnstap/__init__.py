"""Plugin dnstap: README.md says what it does, config.py reads it, handler.py taps, message.py and sink.py send."""
