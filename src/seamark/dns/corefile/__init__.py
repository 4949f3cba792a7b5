"""Corefile text to server blocks; pure."""
