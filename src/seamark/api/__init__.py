"""The API server: HTTP in, Status or object out; one verb per file."""
