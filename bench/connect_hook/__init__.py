"""What the connect hook gives: see ``__main__.py``."""
