"""The PersistentVolumeClaims of a StatefulSet: one per template and pod, and who they go with; pure.

Claims have no owner by default, so that data outlives the pod and the set. ``persistentVolumeClaimRetentionPolicy``
changes that by owner references, and the garbage collector does the rest: ``whenDeleted: Delete`` makes the set an
owner, ``whenScaled: Delete`` the pod, once it is condemned by a smaller ``replicas``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from seamark.controllers.owners import adopt_patch, owner_reference, release_patch
from seamark.controllers.workloads import StatefulSet
from seamark.machinery.gvr import PODS, STATEFULSETS
from seamark.model.meta import Object


def render_claims(ss: StatefulSet, ordinal: int) -> list[dict[str, Any]]:
    selected = ss.spec.selector.get("matchLabels") or {}
    found = []
    for template in ss.spec.volume_claim_templates or ():
        meta = template["metadata"]
        metadata: dict[str, Any] = {
            "name": claim_name(ss, meta["name"], ordinal),
            "namespace": ss.metadata.namespace,
            "labels": {**(meta.get("labels") or {}), **selected},
        }
        if meta.get("annotations"):
            metadata["annotations"] = meta["annotations"]
        if ss.spec.persistent_volume_claim_retention_policy.when_deleted == "Delete":
            metadata["ownerReferences"] = [_reference(ss)]
        claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata}
        found.append({**claim, "spec": template.get("spec") or {}})
    return found


def claim_name(ss: StatefulSet, template: str, ordinal: int) -> str:
    return f"{template}-{ss.metadata.name}-{ordinal}"


def claim_names(ss: StatefulSet, ordinal: int) -> Iterator[str]:
    for template in ss.spec.volume_claim_templates or ():
        yield claim_name(ss, template["metadata"]["name"], ordinal)


def plan_claim_owners(ss: StatefulSet, claim: Object, pod: Object, *, condemned: bool) -> dict[str, Any] | None:
    """The patch that makes the claim go with what the policy says; None where it does already."""
    policy = ss.spec.persistent_volume_claim_retention_policy
    with_pod = condemned and policy.when_scaled == "Delete"
    with_set = policy.when_deleted == "Delete" and not with_pod
    owners = {ref.uid for ref in claim.metadata.owner_references or ()}
    for owner, reference, wanted in ((ss, _reference(ss), with_set), (pod, _pod_reference(pod), with_pod)):
        if wanted and owner.metadata.uid not in owners:
            return adopt_patch(claim, reference)
        if not wanted and owner.metadata.uid in owners:
            return release_patch(claim, owner.metadata.uid)
    return None


def _reference(ss: StatefulSet) -> dict[str, Any]:
    return {**owner_reference(ss, STATEFULSETS), "controller": False, "blockOwnerDeletion": False}


def _pod_reference(pod: Object) -> dict[str, Any]:
    return {**owner_reference(pod, PODS), "controller": False, "blockOwnerDeletion": False}
