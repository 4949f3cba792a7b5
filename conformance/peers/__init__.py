"""``make conformance-api``: kube-controller-manager, kube-proxy and CoreDNS, unmodified, on Seamark's API.

Each stands in for Seamark's own part, as the user it is in Kubernetes, with the default roles that user has. Judged by
what they bring about: pods that run, connections that arrive, questions that are answered.
"""
