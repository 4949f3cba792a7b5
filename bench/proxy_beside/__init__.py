"""Seamark's service proxy and kube-proxy, measured in the same way on the same objects."""
