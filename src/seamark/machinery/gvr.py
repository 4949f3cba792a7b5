"""Group, version, resource: how the API names a collection, and the table of those Seamark's own parts use.

The client builds paths from these; ``resources/registry.py`` builds its rows on them, so that a path is spelled
in one place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class GVR:
    """One collection. ``namespaced`` decides the path form (Kubernetes API concepts, "Resource URIs")."""

    group: str
    version: str
    resource: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, *, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of the collection, the object or its subresource; no namespace = all namespaces."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.resource)
        if name:
            parts.append(name)
        if subresource:
            parts.append(subresource)
        return "/" + "/".join(parts)


BINDINGS = GVR("", "v1", "bindings", "Binding")
CONFIGMAPS = GVR("", "v1", "configmaps", "ConfigMap")
ENDPOINTS = GVR("", "v1", "endpoints", "Endpoints")
EVENTS_V1 = GVR("", "v1", "events", "Event")
LIMITRANGES = GVR("", "v1", "limitranges", "LimitRange")
NAMESPACES = GVR("", "v1", "namespaces", "Namespace", namespaced=False)
NODES = GVR("", "v1", "nodes", "Node", namespaced=False)
PERSISTENTVOLUMECLAIMS = GVR("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
PERSISTENTVOLUMES = GVR("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False)
PODTEMPLATES = GVR("", "v1", "podtemplates", "PodTemplate")
PODS = GVR("", "v1", "pods", "Pod")
REPLICATIONCONTROLLERS = GVR("", "v1", "replicationcontrollers", "ReplicationController")
RESOURCEQUOTAS = GVR("", "v1", "resourcequotas", "ResourceQuota")
SECRETS = GVR("", "v1", "secrets", "Secret")
SERVICEACCOUNTS = GVR("", "v1", "serviceaccounts", "ServiceAccount")
SERVICES = GVR("", "v1", "services", "Service")
CUSTOMRESOURCEDEFINITIONS = GVR(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
CONTROLLERREVISIONS = GVR("apps", "v1", "controllerrevisions", "ControllerRevision")
DAEMONSETS = GVR("apps", "v1", "daemonsets", "DaemonSet")
DEPLOYMENTS = GVR("apps", "v1", "deployments", "Deployment")
REPLICASETS = GVR("apps", "v1", "replicasets", "ReplicaSet")
STATEFULSETS = GVR("apps", "v1", "statefulsets", "StatefulSet")
HORIZONTALPODAUTOSCALERS_V1 = GVR("autoscaling", "v1", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
HORIZONTALPODAUTOSCALERS = GVR("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
CRONJOBS = GVR("batch", "v1", "cronjobs", "CronJob")
JOBS = GVR("batch", "v1", "jobs", "Job")
CERTIFICATESIGNINGREQUESTS = GVR(
    "certificates.k8s.io", "v1", "certificatesigningrequests", "CertificateSigningRequest", namespaced=False
)
SELFSUBJECTACCESSREVIEWS = GVR(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
)
SUBJECTACCESSREVIEWS = GVR(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)
LEASES = GVR("coordination.k8s.io", "v1", "leases", "Lease")
ENDPOINTSLICES = GVR("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
INGRESSCLASSES = GVR("networking.k8s.io", "v1", "ingressclasses", "IngressClass", namespaced=False)
INGRESSES = GVR("networking.k8s.io", "v1", "ingresses", "Ingress")
IPADDRESSES = GVR("networking.k8s.io", "v1", "ipaddresses", "IPAddress", namespaced=False)
NETWORKPOLICIES = GVR("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
SERVICECIDRS = GVR("networking.k8s.io", "v1", "servicecidrs", "ServiceCIDR", namespaced=False)
RUNTIMECLASSES = GVR("node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", namespaced=False)
PODDISRUPTIONBUDGETS = GVR("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
PRIORITYCLASSES = GVR("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", namespaced=False)
STORAGECLASSES = GVR("storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced=False)
EVENTS = GVR("events.k8s.io", "v1", "events", "Event")
CLUSTERROLEBINDINGS = GVR(
    "rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False
)
CLUSTERROLES = GVR("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False)
ROLEBINDINGS = GVR("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
ROLES = GVR("rbac.authorization.k8s.io", "v1", "roles", "Role")


def version_priority(name: str) -> tuple[Any, ...]:
    """A key by which versions are preferred, the greatest first: v2, v1, v1beta2, v1alpha1, then words by alphabet."""
    found = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", name)
    if found is None:
        return (0, *(-ord(char) for char in name))
    stage = {"alpha": 1, "beta": 2, None: 3}[found[2]]
    return (1, stage, int(found[1]), int(found[3] or 0))
