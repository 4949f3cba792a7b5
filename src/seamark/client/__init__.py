"""REST client and informer; the same code in process and against any Kubernetes API server."""
