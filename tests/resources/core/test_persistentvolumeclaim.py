"""What may change of a claim, and its sources: the words are those of kube-apiserver 1.36.3."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from seamark.resources.core.persistentvolumeclaim import PERSISTENTVOLUMECLAIM

Obj = dict[str, Any]
IMMUTABLE = (
    "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName "
    "for bound claims"
)
LESS = "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"


def claim(size: str = "2Gi", *, bound: bool = False, **spec: Any) -> Obj:
    status = {"phase": "Bound", "capacity": {"storage": "1Gi"}} if bound else {"phase": "Pending"}
    base = {"accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem", "resources": {"requests": {"storage": size}}}
    meta = {"name": "c", "namespace": "default"}
    return {"metadata": meta, "spec": {**base, **spec}, "status": status}


@pytest.mark.parametrize(
    ("old", "new", "causes"),
    [
        pytest.param(claim(), claim(volumeName="v"), [], id="the volume is named once"),
        pytest.param(claim(volumeName="v"), claim(volumeName="w"), [IMMUTABLE], id="and not again"),
        pytest.param(claim(), claim(storageClassName="slow"), [], id="a class that came later"),
        pytest.param(claim(storageClassName=""), claim(storageClassName="slow"), [IMMUTABLE], id="no class was meant"),
        pytest.param(claim(), claim("3Gi"), [IMMUTABLE], id="more before it is bound"),
        pytest.param(claim(bound=True), claim("3Gi"), [], id="more"),
        pytest.param(claim("3Gi", bound=True), claim("2Gi"), [], id="back to what is there"),
        pytest.param(claim(bound=True), claim("1Gi"), [LESS], id="less than there is"),
        pytest.param(claim(bound=True), claim(accessModes=["ReadOnlyMany"]), [IMMUTABLE], id="modes"),
    ],
)
def test_updates(old: Obj, new: Obj, causes: list[str]) -> None:
    assert PERSISTENTVOLUMECLAIM.prepare_update and PERSISTENTVOLUMECLAIM.validate_update
    new = deepcopy(new)
    PERSISTENTVOLUMECLAIM.prepare_update(new, old)
    assert [f"{c.field}: {c.message}" for c in PERSISTENTVOLUMECLAIM.validate_update(new, old)] == causes


OTHER = {"kind": "PersistentVolumeClaim", "name": "x"}
ODD = {"apiGroup": "example.com", "kind": "Tape", "name": "x"}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        pytest.param({"dataSource": OTHER}, {"dataSource": OTHER, "dataSourceRef": OTHER}, id="the old way"),
        pytest.param({"dataSourceRef": OTHER}, {"dataSource": OTHER, "dataSourceRef": OTHER}, id="the new way"),
        pytest.param({"dataSource": ODD}, {}, id="never honoured"),
        pytest.param({"dataSourceRef": ODD}, {"dataSource": ODD, "dataSourceRef": ODD}, id="for a populator"),
        pytest.param({"dataSourceRef": {**OTHER, "namespace": "n"}}, {}, id="of another namespace"),
    ],
)
def test_sources(given: Obj, kept: Obj) -> None:
    assert PERSISTENTVOLUMECLAIM.prepare_create and PERSISTENTVOLUMECLAIM.validate
    made = claim(**deepcopy(given))
    PERSISTENTVOLUMECLAIM.prepare_create(made)
    assert {name: made["spec"][name] for name in ("dataSource", "dataSourceRef") if name in made["spec"]} == kept
    assert not PERSISTENTVOLUMECLAIM.validate(made)
