"""One file per kind; registry.py is the table from kind to row."""
