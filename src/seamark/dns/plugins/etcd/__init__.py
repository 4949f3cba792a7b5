"""Plugin etcd: README.md says what it does, config.py reads it, handler.py does it with messages out of gateway.py."""
