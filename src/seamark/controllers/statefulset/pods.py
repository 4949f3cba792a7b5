"""The pods of a StatefulSet: names, ordinals, identity; pure."""

from __future__ import annotations

from typing import Any

from seamark.controllers.pods import render_pod
from seamark.controllers.revision import CONTROLLER_REVISION_HASH
from seamark.controllers.workloads import StatefulSet
from seamark.machinery.gvr import STATEFULSETS
from seamark.model.pod import Pod

POD_NAME = "statefulset.kubernetes.io/pod-name"
POD_INDEX = "apps.kubernetes.io/pod-index"


def ordinal_of(ss: StatefulSet, pod: Pod) -> int | None:
    """``web-3`` -> 3; None for a name that is not one of the set's."""
    parent, _, number = pod.metadata.name.rpartition("-")
    if parent != ss.metadata.name or not number.isdecimal() or str(int(number)) != number:
        return None
    return int(number)


def revision_of(pod: Pod) -> str:
    return pod.labels.get(CONTROLLER_REVISION_HASH, "")


def render_stateful_pod(ss: StatefulSet, template: dict[str, Any], ordinal: int, revision: str) -> dict[str, Any]:
    name = f"{ss.metadata.name}-{ordinal}"
    pod = render_pod(template, ss, STATEFULSETS, name=name)
    labels = {POD_NAME: name, POD_INDEX: str(ordinal), CONTROLLER_REVISION_HASH: revision}
    pod["metadata"]["labels"] |= labels
    pod["spec"]["hostname"] = name
    pod["spec"]["subdomain"] = ss.spec.service_name
    if ss.spec.volume_claim_templates:
        pod["spec"]["volumes"] = _volumes(ss, pod["spec"].get("volumes") or [], name)
    return pod


def _volumes(ss: StatefulSet, given: list[dict[str, Any]], pod: str) -> list[dict[str, Any]]:
    """The claims shadow template volumes of the same name."""
    names = [t["metadata"]["name"] for t in ss.spec.volume_claim_templates or ()]
    claims = [
        {"name": name, "persistentVolumeClaim": {"claimName": f"{name}-{pod}", "readOnly": False}} for name in names
    ]
    return [*claims, *(v for v in given if v.get("name") not in names)]
