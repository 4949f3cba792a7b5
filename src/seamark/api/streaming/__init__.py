"""What runs on a connection after its HTTP upgrade: bytes, SPDY, the streams of exec and attach, port-forward."""
