"""SPDY/3.1 without a socket: frames, header compression, and the state of one connection. Bytes in, bytes out.

kubectl up to 1.29 carries exec and attach over it, every kubectl port-forward (since 1.31 inside a WebSocket). Only
what those need: no server push, no credential frames, no order by priority.
"""
