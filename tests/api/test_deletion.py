"""What becomes of an object on DELETE, as a table."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.api.deletion import DeleteOptions, parse_delete_options, plan_deletion
from seamark.api.objects import Obj
from seamark.machinery.jsonvalue import copy_json
from seamark.machinery.status import StatusError
from seamark.resources.core.configmap import CONFIGMAP
from seamark.resources.core.namespace import NAMESPACE
from seamark.resources.core.pod import POD
from seamark.resources.core.replicationcontroller import REPLICATIONCONTROLLER

NOW = 1_700_000_000.0
THEN = "2023-11-14T22:13:20Z"


def obj(*finalizers: str, **meta: Any) -> Obj:
    found: Obj = {"kind": "X", "metadata": {"name": "x", **meta}}
    if finalizers:
        found["metadata"]["finalizers"] = list(finalizers)
    return found


@pytest.mark.parametrize(
    ("before", "policy", "after"),
    [
        pytest.param((), "", None, id="at-once"),
        pytest.param((), "Background", None, id="background"),
        pytest.param(("orphan",), "Background", None, id="background-over-orphan"),
        pytest.param(("a/b",), "Background", ["a/b"], id="others-stay"),
        pytest.param((), "Foreground", ["foregroundDeletion"], id="foreground"),
        pytest.param(("orphan", "a/b"), "Foreground", ["a/b", "foregroundDeletion"], id="foreground-over-orphan"),
        pytest.param(("foregroundDeletion",), "Orphan", ["orphan"], id="orphan-over-foreground"),
        pytest.param(("orphan",), "", ["orphan"], id="said-before"),
    ],
)
def test_propagation(before: tuple[str, ...], policy: str, after: list[str] | None) -> None:
    given = obj(*before, generation=3)
    kept = copy_json(given)
    plan = plan_deletion(CONFIGMAP, given, DeleteOptions(policy=policy), now=NOW)
    assert given == kept
    if after is None:
        assert plan.marked is None
    else:
        assert plan.marked is not None
        meta = plan.marked["metadata"]
        assert (meta["finalizers"], meta["deletionTimestamp"], meta["deletionGracePeriodSeconds"]) == (after, THEN, 0)
        assert meta["generation"] == 4


def pod(node: str = "n", phase: str = "Running", grace: int | None = 30, **meta: Any) -> Obj:
    spec = {"nodeName": node, **({} if grace is None else {"terminationGracePeriodSeconds": grace})}
    return {"kind": "Pod", "metadata": {"name": "p", **meta}, "spec": spec, "status": {"phase": phase}}


RUNNING_OUT = {"deletionTimestamp": "2023-11-14T22:13:50Z", "deletionGracePeriodSeconds": 30}


@pytest.mark.parametrize(
    ("given", "asked", "seconds"),
    [
        pytest.param(pod(), None, 30, id="its-own"),
        pytest.param(pod(grace=None), None, 30, id="default"),
        pytest.param(pod(grace=0), None, None, id="none"),
        pytest.param(pod(), 5, 5, id="asked"),
        pytest.param(pod(), 0, None, id="forced"),
        pytest.param(pod(), -1, 1, id="negative"),
        pytest.param(pod(node=""), None, None, id="unbound"),
        pytest.param(pod(phase="Succeeded"), None, None, id="finished"),
        pytest.param(pod(**RUNNING_OUT), None, 30, id="again"),
        pytest.param(pod(**RUNNING_OUT), 60, 30, id="never-longer"),
        pytest.param(pod(**RUNNING_OUT), 10, 10, id="shorter"),
        pytest.param(pod(**RUNNING_OUT), 0, None, id="forced-later"),
        pytest.param(pod(phase="Failed", **RUNNING_OUT), None, None, id="finished-meanwhile"),
    ],
)
def test_grace(given: Obj, asked: int | None, seconds: int | None) -> None:
    plan = plan_deletion(POD, given, DeleteOptions(grace=asked), now=NOW)
    if seconds is None:
        assert plan.marked is None and plan.shown["metadata"]["deletionGracePeriodSeconds"] == 0
    else:
        assert plan.marked is not None
        assert plan.marked["metadata"]["deletionGracePeriodSeconds"] == seconds


def test_a_namespace_waits_for_its_own_finalizers() -> None:
    given = {"kind": "Namespace", "metadata": {"name": "n"}, "spec": {"finalizers": ["kubernetes"]}}
    plan = plan_deletion(NAMESPACE, given, DeleteOptions(), now=NOW)
    assert plan.marked is not None and plan.marked["status"]["phase"] == "Terminating"
    assert plan_deletion(NAMESPACE, {**given, "spec": {}}, DeleteOptions(), now=NOW).marked is None


@pytest.mark.parametrize(
    ("body", "params", "found"),
    [
        ({}, {}, DeleteOptions()),
        ({"gracePeriodSeconds": 0}, {"gracePeriodSeconds": "9"}, DeleteOptions(grace=0)),
        ({}, {"gracePeriodSeconds": "9", "propagationPolicy": "Orphan"}, DeleteOptions(grace=9, policy="Orphan")),
        ({"orphanDependents": True}, {}, DeleteOptions(policy="Orphan")),
        ({"dryRun": ["All"]}, {}, DeleteOptions(dry_run=True)),
        ({}, {"dryRun": "All"}, DeleteOptions(dry_run=True)),
        ({"preconditions": {"uid": "u", "resourceVersion": "3"}}, {}, DeleteOptions(uid="u", resource_version="3")),
    ],
)
def test_options(body: Obj, params: dict[str, str], found: DeleteOptions) -> None:
    assert parse_delete_options(body, params) == found


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([], 400),
        ({"kind": "Pod"}, 400),
        ({"gracePeriodSeconds": "soon"}, 400),
        ({"propagationPolicy": "Sideways"}, 422),
        ({"orphanDependents": True, "propagationPolicy": "Orphan"}, 422),
        ({"dryRun": ["Some"]}, 422),
    ],
)
def test_bad_options(body: Any, code: int) -> None:
    with pytest.raises(StatusError) as error:
        parse_delete_options(body, {})
    assert error.value.code == code
    if code == 422:
        (cause,) = error.value.details["causes"]
        assert error.value.message == f'DeleteOptions.meta.k8s.io "" is invalid: {cause["field"]}: {cause["message"]}'


@pytest.mark.parametrize(
    ("policy", "before", "after"),
    [
        pytest.param("", (), ["orphan"], id="old clients count on it"),
        pytest.param("Background", (), None, id="asked otherwise"),
        pytest.param("", ("foregroundDeletion",), ["foregroundDeletion"], id="the object says"),
    ],
)
def test_replication_controllers_leave_their_pods(
    policy: str, before: tuple[str, ...], after: list[str] | None
) -> None:
    obj: Obj = {"metadata": {"name": "web", "namespace": "default", **({"finalizers": [*before]} if before else {})}}
    marked = plan_deletion(REPLICATIONCONTROLLER, obj, DeleteOptions(policy=policy), now=0.0).marked
    assert (marked["metadata"]["finalizers"] if marked else None) == after
