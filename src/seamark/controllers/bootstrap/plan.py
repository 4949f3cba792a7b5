"""Settings -> the objects every cluster begins with, as kubeadm users know them.

Rule: what exists is the user's. Only the Endpoints and the slice of ``default/kubernetes`` follow the settings for
ever; everything else is made when it is missing and never changed, so an edited ConfigMap stays edited.
"""

from __future__ import annotations

from typing import Any

from seamark.controllers.bootstrap.nodelocal import plan_node_local
from seamark.controllers.settings import ControllerSettings
from seamark.machinery import gvr as g
from seamark.machinery.gvr import GVR

Obj = dict[str, Any]

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
PRIORITIES = {
    "system-cluster-critical": (
        2000000000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
    "system-node-critical": (
        2000001000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
}
DNS_LABELS = {"k8s-app": "kube-dns"}

_COREFILE = """\
.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes DOMAIN in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30
    loop
    reload
    loadbalance
}
"""


def plan_bootstrap(settings: ControllerSettings) -> tuple[tuple[GVR, Obj], ...]:
    """In the order in which they need one another."""
    found: list[tuple[GVR, Obj]] = [(g.NAMESPACES, _object("v1", "Namespace", name)) for name in NAMESPACES]
    found += [(g.PRIORITYCLASSES, _priority(name, *given)) for name, given in PRIORITIES.items()]
    found.append((g.SERVICES, _kubernetes_service(settings)))
    if settings.api_endpoint is not None:
        found.append((g.ENDPOINTS, kubernetes_endpoints(*settings.api_endpoint)))
        found.append((g.ENDPOINTSLICES, kubernetes_slice(*settings.api_endpoint)))
    found.append((g.SERVICEACCOUNTS, _object("v1", "ServiceAccount", "coredns", "kube-system")))
    corefile = {"Corefile": _COREFILE.replace("DOMAIN", settings.cluster_domain)}
    found.append((g.CONFIGMAPS, {**_object("v1", "ConfigMap", "coredns", "kube-system"), "data": corefile}))
    found.append((g.SERVICES, _dns_service(settings)))
    found.append((g.DEPLOYMENTS, _dns_deployment(settings)))
    if settings.node_local_dns:
        found += plan_node_local(settings, corefile["Corefile"])
    return tuple(found)


def _object(api_version: str, kind: str, name: str, namespace: str = "", labels: dict[str, str] | None = None) -> Obj:
    metadata: Obj = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def _priority(name: str, value: int, description: str) -> Obj:
    return {**_object("scheduling.k8s.io/v1", "PriorityClass", name), "value": value, "description": description}


def _kubernetes_service(settings: ControllerSettings) -> Obj:
    labels = {"component": "apiserver", "provider": "kubernetes"}
    target = settings.api_endpoint[1] if settings.api_endpoint else 6443
    return {
        **_object("v1", "Service", "kubernetes", "default", labels),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": settings.kubernetes_ip,
            "clusterIPs": [settings.kubernetes_ip],
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": target}],
            "sessionAffinity": "None",
        },
    }


def kubernetes_endpoints(address: str, port: int) -> Obj:
    labels = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    return {
        **_object("v1", "Endpoints", "kubernetes", "default", labels),
        "subsets": [{"addresses": [{"ip": address}], "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}],
    }


def kubernetes_slice(address: str, port: int) -> Obj:
    return {
        **_object(
            "discovery.k8s.io/v1",
            "EndpointSlice",
            "kubernetes",
            "default",
            {"kubernetes.io/service-name": "kubernetes"},
        ),
        "addressType": "IPv6" if ":" in address else "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }


def _dns_service(settings: ControllerSettings) -> Obj:
    labels = {**DNS_LABELS, "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}
    made = _object("v1", "Service", "kube-dns", "kube-system", labels)
    made["metadata"]["annotations"] = {"prometheus.io/port": "9153", "prometheus.io/scrape": "true"}
    made["spec"] = {
        "selector": DNS_LABELS,
        "clusterIP": settings.cluster_dns,
        "clusterIPs": [settings.cluster_dns],
        "ports": [
            {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
            {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
            {"name": "metrics", "port": 9153, "protocol": "TCP", "targetPort": 9153},
        ],
    }
    return made


def _dns_deployment(settings: ControllerSettings) -> Obj:
    return {
        **_object("apps/v1", "Deployment", "coredns", "kube-system", dict(DNS_LABELS)),
        "spec": {
            "replicas": settings.dns_replicas,
            "selector": {"matchLabels": dict(DNS_LABELS)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "template": {"metadata": {"labels": dict(DNS_LABELS)}, "spec": _dns_pod(settings)},
        },
    }


def _dns_pod(settings: ControllerSettings) -> Obj:
    apart = {
        "weight": 100,
        "podAffinityTerm": {
            "labelSelector": {"matchLabels": dict(DNS_LABELS)},
            "topologyKey": "kubernetes.io/hostname",
        },
    }
    return {
        "serviceAccountName": "coredns",
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",  # the node's resolvers: asking itself would never end
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [apart]}},
        "tolerations": [
            {"key": "CriticalAddonsOnly", "operator": "Exists"},
            {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"},
        ],
        "containers": [_dns_container(settings)],
        "volumes": [
            {
                "name": "config-volume",
                "configMap": {"name": "coredns", "items": [{"key": "Corefile", "path": "Corefile"}]},
            }
        ],
    }


def _dns_container(settings: ControllerSettings) -> Obj:
    return {
        "name": "coredns",
        "image": settings.dns_image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["dns", "-conf", "/etc/coredns/Corefile"],
        "resources": {"requests": {"cpu": "100m", "memory": "70Mi"}},
        "ports": [
            {"name": "dns", "containerPort": 53, "protocol": "UDP"},
            {"name": "dns-tcp", "containerPort": 53, "protocol": "TCP"},
            {"name": "metrics", "containerPort": 9153, "protocol": "TCP"},
        ],
        "volumeMounts": [{"name": "config-volume", "mountPath": "/etc/coredns", "readOnly": True}],
        "livenessProbe": {
            "httpGet": {"path": "/health", "port": 8080, "scheme": "HTTP"},
            "initialDelaySeconds": 60,
            "timeoutSeconds": 5,
            "successThreshold": 1,
            "failureThreshold": 5,
        },
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181, "scheme": "HTTP"}, "periodSeconds": 1},
    }
