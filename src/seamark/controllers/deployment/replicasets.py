"""The ReplicaSets of a Deployment: which one is new, their names, revisions and annotations; pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seamark.controllers.owners import owner_reference
from seamark.controllers.pods import created_at
from seamark.controllers.revision import POD_TEMPLATE_HASH, hash_template, same_template
from seamark.controllers.workloads import Deployment, ReplicaSet
from seamark.machinery.gvr import DEPLOYMENTS

PREFIX = "deployment.kubernetes.io/"
REVISION = f"{PREFIX}revision"
REVISION_HISTORY = f"{PREFIX}revision-history"
DESIRED = f"{PREFIX}desired-replicas"
MAXIMUM = f"{PREFIX}max-replicas"
NOT_COPIED = {
    "kubectl.kubernetes.io/last-applied-configuration",
    "deprecated.deployment.rollback.to",
    REVISION,
    REVISION_HISTORY,
    DESIRED,
    MAXIMUM,
}


def select_new(d: Deployment, sets: Sequence[ReplicaSet]) -> ReplicaSet | None:
    """The one with the Deployment's template; of several (a collision resolved twice) the oldest."""
    return next((rs for rs in by_age(sets) if same_template(rs.spec.template, d.spec.template)), None)


def by_age(sets: Sequence[ReplicaSet]) -> list[ReplicaSet]:
    return sorted(sets, key=lambda rs: (created_at(rs), rs.metadata.name))


def revision_of(rs: ReplicaSet) -> int:
    return _number(rs.annotations.get(REVISION, ""))


def desired_of(rs: ReplicaSet) -> int | None:
    """What the Deployment wanted when it last scaled this set; None = never told."""
    return _number(rs.annotations[DESIRED]) if DESIRED in rs.annotations else None


def maximum_of(rs: ReplicaSet) -> int | None:
    return _number(rs.annotations[MAXIMUM]) if MAXIMUM in rs.annotations else None


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def scale_annotations(d: Deployment, surge: int) -> dict[str, str]:
    return {DESIRED: str(d.spec.replicas), MAXIMUM: str(d.spec.replicas + surge)}


def copied_annotations(d: Deployment) -> dict[str, str]:
    """What a rollback should find again: all of the Deployment's own, such as kubernetes.io/change-cause."""
    return {k: v for k, v in d.annotations.items() if k not in NOT_COPIED}


def render_replicaset(d: Deployment, *, replicas: int, revision: int, surge: int) -> dict[str, Any]:
    version = hash_template(d.spec.template, d.status.collision_count)
    template = dict(d.spec.template)
    meta = dict(template.get("metadata") or {})
    meta["labels"] = {**(meta.get("labels") or {}), POD_TEMPLATE_HASH: version}
    template["metadata"] = meta
    selector = {**d.spec.selector}
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), POD_TEMPLATE_HASH: version}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{d.metadata.name}-{version}",
            "namespace": d.metadata.namespace,
            "labels": meta["labels"],
            "annotations": {**copied_annotations(d), REVISION: str(revision), **scale_annotations(d, surge)},
            "ownerReferences": [owner_reference(d, DEPLOYMENTS)],
        },
        "spec": {
            "replicas": replicas,
            "minReadySeconds": d.spec.min_ready_seconds,
            "selector": selector,
            "template": template,
        },
    }


def plan_annotations(d: Deployment, new: ReplicaSet, revision: int) -> dict[str, str]:
    """What the new set's annotations lack. An old version that becomes the new one gets the next revision."""
    wanted = copied_annotations(d)
    known = revision_of(new)
    if known < revision:
        wanted[REVISION] = str(revision)
        if known:
            history = new.annotations.get(REVISION_HISTORY, "")
            wanted[REVISION_HISTORY] = f"{history},{known}" if history else str(known)
    return {k: v for k, v in wanted.items() if new.annotations.get(k) != v}
