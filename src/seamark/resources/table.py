"""The tuple of every kind Seamark serves, and the Registry made of it. A new kind is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from seamark.machinery.gvr import GVR
from seamark.resources.apiextensions.customresourcedefinition import CUSTOMRESOURCEDEFINITION
from seamark.resources.apps.controllerrevision import CONTROLLERREVISION
from seamark.resources.apps.daemonset import DAEMONSET
from seamark.resources.apps.deployment import DEPLOYMENT
from seamark.resources.apps.replicaset import REPLICASET
from seamark.resources.apps.statefulset import STATEFULSET
from seamark.resources.authentication.selfsubjectreview import SELFSUBJECTREVIEW
from seamark.resources.authentication.tokenreview import TOKENREVIEW
from seamark.resources.authorization.localsubjectaccessreview import LOCALSUBJECTACCESSREVIEW
from seamark.resources.authorization.selfsubjectaccessreview import SELFSUBJECTACCESSREVIEW
from seamark.resources.authorization.selfsubjectrulesreview import SELFSUBJECTRULESREVIEW
from seamark.resources.authorization.subjectaccessreview import SUBJECTACCESSREVIEW
from seamark.resources.autoscaling.horizontalpodautoscaler import HORIZONTALPODAUTOSCALER
from seamark.resources.batch.cronjob import CRONJOB
from seamark.resources.batch.job import JOB
from seamark.resources.certificates.certificatesigningrequest import CERTIFICATESIGNINGREQUEST
from seamark.resources.coordination.lease import LEASE
from seamark.resources.core.binding import BINDING
from seamark.resources.core.configmap import CONFIGMAP
from seamark.resources.core.endpoints import ENDPOINTS
from seamark.resources.core.event import EVENT
from seamark.resources.core.limitrange import LIMITRANGE
from seamark.resources.core.namespace import NAMESPACE
from seamark.resources.core.node import NODE
from seamark.resources.core.persistentvolume import PERSISTENTVOLUME
from seamark.resources.core.persistentvolumeclaim import PERSISTENTVOLUMECLAIM
from seamark.resources.core.pod import POD
from seamark.resources.core.podtemplate import PODTEMPLATE
from seamark.resources.core.replicationcontroller import REPLICATIONCONTROLLER
from seamark.resources.core.resourcequota import RESOURCEQUOTA
from seamark.resources.core.secret import SECRET
from seamark.resources.core.service import SERVICE
from seamark.resources.core.serviceaccount import SERVICEACCOUNT
from seamark.resources.discovery.endpointslice import ENDPOINTSLICE
from seamark.resources.networking.ingress import INGRESS
from seamark.resources.networking.ingressclass import INGRESSCLASS
from seamark.resources.networking.ipaddress import IPADDRESS
from seamark.resources.networking.networkpolicy import NETWORKPOLICY
from seamark.resources.networking.servicecidr import SERVICECIDR
from seamark.resources.node.runtimeclass import RUNTIMECLASS
from seamark.resources.policy.poddisruptionbudget import PODDISRUPTIONBUDGET
from seamark.resources.rbac.clusterrole import CLUSTERROLE
from seamark.resources.rbac.clusterrolebinding import CLUSTERROLEBINDING
from seamark.resources.rbac.role import ROLE
from seamark.resources.rbac.rolebinding import ROLEBINDING
from seamark.resources.registry import Obj, Registry, Resource
from seamark.resources.scheduling.priorityclass import PRIORITYCLASS
from seamark.resources.storage.storageclass import STORAGECLASS

ROWS: tuple[Resource, ...] = (
    BINDING,
    CONFIGMAP,
    ENDPOINTS,
    EVENT,
    LIMITRANGE,
    NAMESPACE,
    NODE,
    PERSISTENTVOLUME,
    PERSISTENTVOLUMECLAIM,
    POD,
    PODTEMPLATE,
    REPLICATIONCONTROLLER,
    RESOURCEQUOTA,
    SECRET,
    SERVICE,
    SERVICEACCOUNT,
    CUSTOMRESOURCEDEFINITION,
    CONTROLLERREVISION,
    DAEMONSET,
    DEPLOYMENT,
    REPLICASET,
    STATEFULSET,
    CERTIFICATESIGNINGREQUEST,
    HORIZONTALPODAUTOSCALER,
    CRONJOB,
    JOB,
    ENDPOINTSLICE,
    LEASE,
    LOCALSUBJECTACCESSREVIEW,
    SELFSUBJECTACCESSREVIEW,
    SELFSUBJECTRULESREVIEW,
    SUBJECTACCESSREVIEW,
    SELFSUBJECTREVIEW,
    TOKENREVIEW,
    INGRESS,
    INGRESSCLASS,
    IPADDRESS,
    NETWORKPOLICY,
    SERVICECIDR,
    RUNTIMECLASS,
    PODDISRUPTIONBUDGET,
    PRIORITYCLASS,
    STORAGECLASS,
    CLUSTERROLE,
    CLUSTERROLEBINDING,
    ROLE,
    ROLEBINDING,
)


Warn = Callable[[Obj], Sequence[str]]


def build_registry(warnings: Mapping[GVR, Warn] | None = None) -> Registry:
    """``warnings`` is what only the composition root can say of objects of a kind that has none of its own."""
    told = warnings or {}
    return Registry([replace(row, warnings=told[row.gvr]) if row.gvr in told else row for row in ROWS])
