"""authorization.k8s.io/v1: the questions about who may do what."""
