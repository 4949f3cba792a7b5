"""apiextensions.k8s.io, and the kinds that its objects define."""
