"""``make test-helm``: Helm 3 and 4 install, upgrade, roll back and remove a chart with Services, Deployments and hooks.

The cases are data in the form of ``conformance.kubectl``; the chart lies beside them.
"""
