"""DNS messages on the wire; pure."""
