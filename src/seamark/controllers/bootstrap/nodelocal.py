"""DNS on every node (``seamark up --node-local-dns``): a DaemonSet in the node's own network, as NodeLocal DNSCache is.

Its Corefile is that of the cluster's DNS with the ports moved to the local address, so that they meet nobody else's on
the node; like everything here it is made once and the user's from then on. Pure.
"""

from __future__ import annotations

from typing import Any

from seamark.controllers.settings import ControllerSettings
from seamark.machinery import gvr as g
from seamark.machinery.gvr import GVR

Obj = dict[str, Any]

NAME = "node-local-dns"
LOCAL_IP = "169.254.20.10"
LABELS = {"k8s-app": NAME}
PORTS = {
    "health {": f"health {LOCAL_IP}:8080 {{",
    "    ready\n": f"    ready {LOCAL_IP}:8181\n",
    "prometheus :9153": f"prometheus {LOCAL_IP}:9253",
}


def plan_node_local(settings: ControllerSettings, corefile: str) -> list[tuple[GVR, Obj]]:
    """ConfigMap and DaemonSet; ``corefile`` is that of the cluster's DNS."""
    for here, there in PORTS.items():
        corefile = corefile.replace(here, there)
    meta = {"name": NAME, "namespace": "kube-system", "labels": dict(LABELS)}
    daemons = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": meta,
        "spec": {
            "selector": {"matchLabels": dict(LABELS)},
            "updateStrategy": {"rollingUpdate": {"maxUnavailable": "10%"}},
            "template": {"metadata": {"labels": dict(LABELS)}, "spec": _pod(settings)},
        },
    }
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"Corefile": corefile}}
    return [(g.CONFIGMAPS, config), (g.DAEMONSETS, daemons)]


def _pod(settings: ControllerSettings) -> Obj:
    addresses = f"{LOCAL_IP},{settings.cluster_dns}"
    return {
        "serviceAccountName": "coredns",
        "priorityClassName": "system-node-critical",
        "hostNetwork": True,
        "dnsPolicy": "Default",  # the node's resolvers: asking itself would never end
        "tolerations": [{"operator": "Exists"}],
        "containers": [
            {
                "name": "node-cache",
                "image": settings.dns_image,
                "imagePullPolicy": "IfNotPresent",
                "args": ["dns", "-node-local", "-localip", addresses, "-conf", "/etc/coredns/Corefile"],
                "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}},
                "resources": {"requests": {"cpu": "25m", "memory": "5Mi"}},
                "volumeMounts": [{"name": "config-volume", "mountPath": "/etc/coredns", "readOnly": True}],
                "livenessProbe": {
                    "httpGet": {"host": LOCAL_IP, "path": "/health", "port": 8080},
                    "initialDelaySeconds": 60,
                    "timeoutSeconds": 5,
                },
                "readinessProbe": {
                    "httpGet": {"host": LOCAL_IP, "path": "/ready", "port": 8181},
                    "periodSeconds": 1,
                },
            }
        ],
        "volumes": [
            {"name": "config-volume", "configMap": {"name": NAME, "items": [{"key": "Corefile", "path": "Corefile"}]}}
        ],
    }
