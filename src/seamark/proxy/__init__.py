"""The service proxy: informers, compile, diff, apply."""
