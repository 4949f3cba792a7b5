"""The downward API: fields of a pod and resources of its containers as text, for variables and files (pure).

Source: core/v1 ObjectFieldSelector and ResourceFieldSelector. A field nobody may ask for is a ConfigError.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from seamark.agent.podspec import Container, Pod, ResourceFieldRef
from seamark.machinery.quantity import parse_quantity

_SUBSCRIPT = re.compile(r"^metadata\.(labels|annotations)\['(.+)'\]$")


class ConfigError(Exception):
    """What keeps a container from being configured; the text is shown beside CreateContainerConfigError."""


@dataclass(frozen=True, slots=True)
class PodFacts:
    """What is true of the pod on this node and is not in its spec."""

    ip: str
    host_ip: str
    node: str
    hostname: str
    allocatable: Mapping[str, str]  # of the node: what an absent limit means


def resolve_field(pod: Pod, path: str, facts: PodFacts) -> str:
    meta = pod.metadata
    simple = {
        "metadata.name": meta.name,
        "metadata.namespace": meta.namespace,
        "metadata.uid": meta.uid,
        "spec.nodeName": facts.node,
        "spec.serviceAccountName": pod.spec.service_account_name,
        "status.hostIP": facts.host_ip,
        "status.hostIPs": facts.host_ip,
        "status.podIP": facts.ip,
        "status.podIPs": facts.ip,
    }
    if path in simple:
        return simple[path]
    if path in ("metadata.labels", "metadata.annotations"):
        found = pod.labels if path == "metadata.labels" else pod.annotations
        return "\n".join(f"{key}={_quoted(value)}" for key, value in sorted(found.items()))
    match = _SUBSCRIPT.match(path)
    if match is None:
        raise ConfigError(f"unsupported fieldPath: {path}")
    return (pod.labels if match[1] == "labels" else pod.annotations).get(match[2], "")


def resolve_resource(pod: Pod, ref: ResourceFieldRef, container: Container | None, facts: PodFacts) -> str:
    """The limit or request in units of the divisor, rounded up; an absent limit is what the node can give."""
    if ref.container_name:
        container = pod.container(ref.container_name)
    if container is None:
        raise ConfigError(f"container {ref.container_name} not found")
    which, _, resource = ref.resource.partition(".")
    if which not in ("limits", "requests") or resource not in ("cpu", "memory", "ephemeral-storage"):
        raise ConfigError(f"unsupported container resource : {ref.resource}")
    given = (container.resources.limits if which == "limits" else container.resources.requests) or {}
    absent = facts.allocatable.get(resource, "0") if which == "limits" else "0"
    amount = parse_quantity(given.get(resource, absent))
    divisor = parse_quantity(ref.divisor or "0").nanos or parse_quantity("1").nanos
    return str(-(-amount.nanos // divisor))


def _quoted(text: str) -> str:
    """Go's %q, near enough for labels and annotations: double quotes, backslash escapes."""
    return json.dumps(text, ensure_ascii=False)
