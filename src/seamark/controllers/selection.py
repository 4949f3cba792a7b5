"""Which controllers run, in the spelling of kube-controller-manager's ``--controllers``: ``*,-job-controller``.

``foo`` turns one on, ``-foo`` off, ``*`` all that are not named. What stands for the API server's own loops (its
Service, its namespaces, custom resource definitions, the repair of addresses, the end of Events) always runs
where that API server is Seamark's.
"""

from __future__ import annotations

KNOWN = (
    "bootstrap-token-controller",
    "certificatesigningrequest-controller",
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemonset-controller",
    "deployment-controller",
    "disruption-controller",
    "endpoints-controller",
    "endpointslice-controller",
    "endpointslice-mirroring-controller",
    "garbage-collector-controller",
    "horizontal-pod-autoscaler-controller",
    "job-controller",
    "namespace-controller",
    "node-lifecycle-controller",
    "persistentvolume-binder-controller",
    "persistentvolume-protection-controller",
    "pod-garbage-collector-controller",
    "replicaset-controller",
    "replicationcontroller-controller",
    "resourcequota-controller",
    "root-ca-certificate-publisher-controller",
    "service-cidr-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "statefulset-controller",
    "ttl-after-finished-controller",
)
ALL = "*"


class SelectionError(ValueError):
    """Names what is not known."""


def parse_controllers(text: str) -> frozenset[str]:
    """Those of KNOWN that run."""
    named = [item.strip() for item in text.split(",") if item.strip()]
    for item in named:
        if item != ALL and item.removeprefix("-") not in KNOWN:
            raise SelectionError(f'"{item.removeprefix("-")}" is not in the list of known controllers')
    on = {item for item in named if not item.startswith("-")}
    off = {item.removeprefix("-") for item in named if item.startswith("-")}
    return frozenset(name for name in KNOWN if name in on or (ALL in on and name not in off))
