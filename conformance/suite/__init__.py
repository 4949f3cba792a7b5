"""Kubernetes' own test suite, those of its conformance tests that need no node: ``make conformance-suite``.

``tests.txt`` names them: they pass against a kube-apiserver with a kube-controller-manager and nothing else.
"""
