"""Sockets and dispatch."""
