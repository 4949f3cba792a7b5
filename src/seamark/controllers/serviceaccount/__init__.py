"""The service account controller: every namespace has an account named default."""
