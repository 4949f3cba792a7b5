"""Other people's programs judge Seamark: kubectl and Helm of many versions, Kubernetes' own parts, its test suite.

Each folder is a ``make`` target, makes a cluster of its own, and writes what it found as a page in docs/.
"""
