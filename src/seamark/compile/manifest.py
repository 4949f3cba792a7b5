"""YAML manifests -> a snapshot, for compiling without a cluster (``seamark compile``, scenarios).

Reads Service, EndpointSlice, Pod, Node and Namespace, also inside a List; other kinds mean nothing to a compiler and
are reported in ``ignored``. What an API server would have filled in must stand in the file (ClusterIPs, node ports),
except the two defaults every reader relies on: the namespace ``default`` and that a namespace somebody uses exists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import yaml

from seamark.model import codec
from seamark.model.endpointslice import EndpointSlice
from seamark.model.node import Node
from seamark.model.pod import Pod
from seamark.model.service import Namespace, Service
from seamark.model.snapshot import Observed, Snapshot

KINDS: Mapping[str, type[Observed]] = {
    "Service": Service,
    "EndpointSlice": EndpointSlice,
    "Pod": Pod,
    "Node": Node,
    "Namespace": Namespace,
}
_WANTED = "an object is wanted, not"
CLUSTER_SCOPED = frozenset({"Node", "Namespace"})


class ManifestError(Exception):
    """A file that cannot be read as objects: says document, object and field."""


@dataclass(frozen=True, slots=True)
class Manifest:
    snapshot: Snapshot
    ignored: tuple[str, ...]


def parse_manifest(text: str) -> Manifest:
    """Raises ManifestError."""
    objects: list[Observed] = []
    ignored: list[str] = []
    for where, document in _documents(text):
        kind = str(document.get("kind") or "")
        if kind in KINDS:
            objects.append(_parse_object(where, document, kind))
        else:
            ignored.append(f"{where}: {kind or 'no kind'}")
    used = {obj.metadata.namespace for obj in objects if obj.metadata.namespace}
    implied = (codec.convert({"metadata": {"name": name}}, Namespace) for name in sorted(used))
    return Manifest(Snapshot.of([*implied, *objects]), tuple(ignored))


def _documents(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        for number, document in enumerate(yaml.safe_load_all(text), start=1):
            if document is None:
                continue
            if not isinstance(document, dict):
                raise ManifestError(f"document {number}: {_WANTED} {type(document).__name__}")
            if str(document.get("kind", "")).endswith("List"):
                for place, item in enumerate(document.get("items") or []):
                    if not isinstance(item, dict):
                        raise ManifestError(f"document {number} item {place}: {_WANTED} {type(item).__name__}")
                    yield f"document {number} item {place}", item
            else:
                yield f"document {number}", document
    except yaml.YAMLError as error:
        raise ManifestError(f"no YAML: {error}") from error


def _parse_object(where: str, document: dict[str, Any], kind: str) -> Observed:
    meta = document.get("metadata") if isinstance(document.get("metadata"), dict) else {}
    name = str((meta or {}).get("name") or "")
    if not name:
        raise ManifestError(f"{where}: {kind}: metadata.name: required")
    if kind not in CLUSTER_SCOPED:
        document = {**document, "metadata": {"namespace": "default", **(meta or {})}}
    try:
        return codec.convert(document, KINDS[kind])
    except msgspec.ValidationError as error:
        raise ManifestError(f"{where}: {kind} {name}: {error}") from error
