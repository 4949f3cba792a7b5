"""Static pods: manifests in a folder that run on this node whatever the API says, and their mirrors in the API.

A static pod's uid is made from its manifest; a changed file is another pod. For each there is a mirror pod, by which
kubectl sees it; a mirror that somebody deletes is made again and the containers never notice. ``render_`` and ``plan_``
are pure. Annotations and names are kubelet's. Files that are no pod are named in the log, once for each content.
"""

from __future__ import annotations

import copy
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml

from seamark.agent.podspec import Pod
from seamark.agent.timers import Alarm, attempt
from seamark.client.base import TransportError
from seamark.client.client import Client
from seamark.machinery.clock import Clock, format_micro_time
from seamark.machinery.gvr import NODES, PODS
from seamark.machinery.status import StatusError
from seamark.model.meta import ObjectKey

logger = logging.getLogger(__name__)

MIRROR = "kubernetes.io/config.mirror"
HASH = "kubernetes.io/config.hash"
SEEN = "kubernetes.io/config.seen"
SOURCE = "kubernetes.io/config.source"
PERIOD, IDLE_PERIOD = 1.0, 20.0
Obj = dict[str, Any]


class ManifestError(ValueError):
    """Says what keeps the file from being a pod."""


@dataclass(frozen=True, slots=True)
class StaticPod:
    uid: str
    key: ObjectKey
    manifest: Obj


@dataclass(frozen=True, slots=True)
class MirrorPlan:
    create: tuple[StaticPod, ...] = ()
    delete: tuple[Pod, ...] = ()


def render_static_pod(text: str, *, node: str, source: str, now: float) -> StaticPod:
    """``source``: the file's path, which is part of the pod's identity. Raises ManifestError."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ManifestError(f"not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict) or (found.get("apiVersion"), found.get("kind")) != ("v1", "Pod"):
        raise ManifestError("not a Pod of apiVersion v1")
    metadata = found.get("metadata")
    if not isinstance(metadata, dict) or not metadata.get("name") or not isinstance(found.get("spec"), dict):
        raise ManifestError("a pod needs metadata.name and spec")
    told = json.dumps(found, sort_keys=True, default=str)
    uid = hashlib.sha256(f"{told}host:{node}file:{source}".encode()).hexdigest()[:32]
    manifest = copy.deepcopy(found)
    manifest["metadata"] |= {
        "name": f"{metadata['name']}-{node}",
        "namespace": metadata.get("namespace") or "default",
        "annotations": {
            **(metadata.get("annotations") or {}),
            HASH: uid,
            MIRROR: uid,
            SEEN: format_micro_time(now),
            SOURCE: "file",
        },
    }
    spec = manifest["spec"]
    spec["nodeName"] = node
    tolerations = [*(spec.get("tolerations") or []), {"operator": "Exists", "effect": "NoExecute"}]
    spec["tolerations"] = [one for i, one in enumerate(tolerations) if one not in tolerations[:i]]
    return StaticPod(uid, ObjectKey(manifest["metadata"]["namespace"], manifest["metadata"]["name"]), manifest)


def plan_mirrors(
    wanted: Mapping[str, StaticPod], mirrors: Iterable[Pod], running: Mapping[ObjectKey, frozenset[str]]
) -> MirrorPlan:
    """``running``: uids of what the node runs, by name. A pod waits until the one before it has ended."""
    good: set[str] = set()
    bad: list[Pod] = []
    for mirror in mirrors:
        uid = mirror.annotations.get(MIRROR, "")
        if uid in wanted and mirror.key == wanted[uid].key and mirror.metadata.deletion_timestamp is None:
            good.add(uid)
        else:
            bad.append(mirror)
    taken = {mirror.key for mirror in bad}
    missing = (pod for uid, pod in wanted.items() if uid not in good and pod.key not in taken)
    return MirrorPlan(tuple(pod for pod in missing if running.get(pod.key, frozenset()) <= {pod.uid}), tuple(bad))


class StaticPods:
    """Of one node. ``running`` as in ``plan_mirrors``; ``mirrors`` are the node's pods that are mirrors."""

    def __init__(
        self,
        folder: Path | None,
        node: str,
        *,
        client: Client,
        clock: Clock,
        mirrors: Callable[[], Iterable[Pod]],
        running: Callable[[], Mapping[ObjectKey, frozenset[str]]],
    ) -> None:
        self.known: dict[str, StaticPod] = {}
        self._folder = folder
        self._node = node
        self._client = client
        self._clock = clock
        self._mirrors = mirrors
        self._running = running
        self._files: dict[Path, tuple[tuple[int, int, int], StaticPod | None]] = {}
        self._told: set[str] = set()
        self._alarm = Alarm(clock)

    def view(self, pod: Pod) -> Pod:
        """A mirror of a known pod as that pod; any other as it is."""
        uid = pod.annotations.get(MIRROR, "")
        known = self.known.get(uid)
        own = known is not None and known.key == pod.key
        return msgspec.structs.replace(pod, static_uid=uid if own else "")

    async def run(self) -> None:
        """Without a folder, too: mirrors of an earlier one, or of nothing, do not stay."""
        while True:
            await attempt("reading of static pods", self._step())
            period = PERIOD if self._folder is not None else IDLE_PERIOD
            await self._alarm.wait(self._clock.time() + period)

    async def _step(self) -> None:
        self.scan()
        plan = plan_mirrors(self.known, self._mirrors(), self._running())
        for mirror in plan.delete:
            await self._safely(str(mirror.key), self._delete(mirror))
        for pod in plan.create:
            await self._safely(str(pod.key), self._create(pod))

    def wake(self) -> None:
        """A mirror changed, or a static pod ended."""
        self._alarm.ring()

    def scan(self) -> None:
        """Reads the files that changed since the last time. A folder that is not there, or cannot be read, is an empty
        one: a pod ends with its file.
        """
        found: dict[Path, tuple[tuple[int, int, int], StaticPod | None]] = {}
        for path in self._list():
            try:
                about = path.stat()
            except OSError:  # it has gone meanwhile
                continue
            stamp = (about.st_ino, about.st_mtime_ns, about.st_size)
            held = self._files.get(path)
            found[path] = held if held is not None and held[0] == stamp else (stamp, self._read(path))
        self._files = found
        self.known = {pod.uid: pod for _, pod in found.values() if pod is not None}

    def _list(self) -> list[Path]:
        if self._folder is None:
            return []
        try:
            return sorted(p for p in self._folder.iterdir() if not p.name.startswith(".") and p.is_file())
        except OSError:
            return []

    def _read(self, path: Path) -> StaticPod | None:
        try:
            return render_static_pod(path.read_text(), node=self._node, source=str(path), now=self._clock.time())
        except (ManifestError, OSError, UnicodeDecodeError) as error:
            logger.error("static pod not read file=%s error=%s", path, error)
            return None

    async def _create(self, pod: StaticPod) -> None:
        node = await self._client.get(NODES, self._node)
        owner = {"apiVersion": "v1", "kind": "Node", "name": self._node, "uid": node["metadata"]["uid"]}
        made = copy.deepcopy(pod.manifest)
        made["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
        await self._client.create(PODS, made)

    async def _delete(self, mirror: Pod) -> None:
        meta = mirror.metadata
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": meta.uid}}
        await self._client.delete(PODS, meta.name, namespace=meta.namespace, options=options)

    async def _safely(self, what: str, work: Awaitable[None]) -> None:
        try:
            await work
        except (StatusError, TransportError) as error:
            text = f"{what}: {error}"
            if text not in self._told and not (isinstance(error, StatusError) and error.code in (404, 409)):
                logger.error("mirror of a static pod pod=%s error=%s", what, error)
                self._told.add(text)
