"""The status a definition gets, with others beside it."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.controllers.customresourcedefinition.plan import (
    custom_gvr,
    is_leaving,
    plan_leaving,
    plan_status,
    without_finalizer,
)
from seamark.machinery.definitions import CLEANUP

Obj = dict[str, Any]
NOW = "2026-01-01T00:00:00Z"


def definition(group: str = "example.com", *, versions: tuple[str, ...] = ("v1",), **names: Any) -> Obj:
    return {
        "metadata": {"name": f"cars.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "cars", "singular": "car", "kind": "Car", "listKind": "CarList", **names},
            "versions": [
                {
                    "name": name,
                    "served": True,
                    "storage": name == versions[0],
                    "schema": {"openAPIV3Schema": {"type": "object"}},
                }
                for name in versions
            ],
        },
    }


def settled(crd: Obj, *others: Obj) -> Obj:
    return {**crd, "status": plan_status(crd, others, NOW)}


def said(crd: Obj) -> list[tuple[str, str, str]]:
    return [(one["type"], one["status"], one["reason"]) for one in crd["status"]["conditions"]]


def test_alone() -> None:
    crd = settled(definition(shortNames=["c"], categories=["all"]))
    assert said(crd) == [("NamesAccepted", "True", "NoConflicts"), ("Established", "True", "InitialNamesAccepted")]
    assert crd["status"]["acceptedNames"] == crd["spec"]["names"]
    assert plan_status(crd, (), "later") == crd["status"], "nothing more to do"


@pytest.mark.parametrize(
    ("names", "reason", "message"),
    [
        ({"listKind": "Cars", "kind": "Auto", "singular": "auto"}, "PluralConflict", '"cars" is already in use'),
        ({"plural": "autos", "kind": "Auto", "listKind": "Autos"}, "SingularConflict", '"car" is already in use'),
        ({"plural": "autos", "singular": "auto", "listKind": "Autos"}, "KindConflict", '"Car" is already in use'),
        (
            {"plural": "autos", "singular": "auto", "kind": "Auto", "listKind": "Autos", "shortNames": ["c", "x", "d"]},
            "ShortNamesConflict",
            '["c" is already in use, "d" is already in use]',
        ),
        ({"kind": "Auto"}, "ListKindConflict", '"CarList" is already in use'),
    ],
)
def test_names_taken(names: Obj, reason: str, message: str) -> None:
    late = settled(definition(**names), settled(definition(shortNames=["c", "d"])))
    found = next(one for one in late["status"]["conditions"] if one["type"] == "NamesAccepted")
    assert (found["status"], found["reason"], found["message"]) == ("False", reason, message)
    assert said(late)[1] == ("Established", "False", "NotAccepted")
    assert custom_gvr(late) is None


def test_an_established_kind_keeps_the_names_it_has() -> None:
    other = settled(definition(plural="vans", singular="van", kind="Van", listKind="VanList"))
    crd = settled(definition())
    asked = {**crd, "spec": crd["spec"] | {"names": crd["spec"]["names"] | {"singular": "van"}}}
    found = settled(asked, other)
    assert said(found) == [
        ("NamesAccepted", "False", "SingularConflict"),
        ("Established", "True", "InitialNamesAccepted"),
    ]
    assert found["status"]["acceptedNames"]["singular"] == "car"


@pytest.mark.parametrize(
    ("annotation", "condition"),
    [
        (None, ("KubernetesAPIApprovalPolicyConformant", "False", "MissingAnnotation")),
        ("unapproved, a test", ("KubernetesAPIApprovalPolicyConformant", "False", "UnapprovedAnnotation")),
        ("https://example.com/1", ("KubernetesAPIApprovalPolicyConformant", "True", "ApprovedAnnotation")),
        ("what", ("KubernetesAPIApprovalPolicyConformant", "False", "InvalidAnnotation")),
    ],
)
def test_protected_groups(annotation: str | None, condition: tuple[str, str, str]) -> None:
    crd = definition("x.k8s.io")
    crd["metadata"]["annotations"] = {"api-approved.kubernetes.io": annotation} if annotation else {}
    assert said(settled(crd))[-1] == condition


def test_a_stored_schema_that_is_not_structural_is_told() -> None:
    crd = definition()
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = {"type": "object", "properties": {"a": {}}}
    assert said(settled(crd))[-1] == ("NonStructuralSchema", "True", "Violations")
    mended = {**definition(), "status": settled(crd)["status"]}
    assert all(kind != "NonStructuralSchema" for kind, _, _ in said(settled(mended)))


def test_which_version_is_watched() -> None:
    crd = settled(definition(versions=("v1beta1", "v1")))
    assert (found := custom_gvr(crd)) and found.version == "v1beta1", "the stored one"
    crd["spec"]["versions"][0]["served"] = False
    assert (found := custom_gvr(crd)) and found.version == "v1"
    crd["spec"]["versions"][1]["served"] = False
    assert custom_gvr(crd) is None


def test_leaving() -> None:
    crd = settled(definition())
    crd["metadata"] |= {"finalizers": ["mine", CLEANUP], "resourceVersion": "7"}
    assert not is_leaving(crd)
    crd["metadata"]["deletionTimestamp"] = NOW
    assert is_leaving(crd)
    status = plan_leaving(crd, "InstanceDeletionInProgress", "soon", done=False, now=NOW)
    assert status["conditions"][-1]["type"] == "Terminating"
    assert status["conditions"][-1]["status"] == "True"
    assert without_finalizer(crd) == {"metadata": {"resourceVersion": "7", "finalizers": ["mine"]}}
