"""Deployments, ReplicaSets, StatefulSets, DaemonSets: defaults, refusals, immutability, cells."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from seamark.resources.apps.controllerrevision import CONTROLLERREVISION
from seamark.resources.apps.daemonset import DAEMONSET
from seamark.resources.apps.deployment import DEPLOYMENT
from seamark.resources.apps.replicaset import REPLICASET
from seamark.resources.apps.statefulset import STATEFULSET
from seamark.resources.registry import Resource
from seamark.testing.writes import Writes, shown

Obj = dict[str, Any]
ALL = [DEPLOYMENT, REPLICASET, STATEFULSET, DAEMONSET]
ROLLING = "spec.strategy.rollingUpdate"


def workload(**spec: Any) -> Obj:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "nginx:1"}]}}
    given = {"selector": {"matchLabels": {"app": "web"}}, "template": template, **spec}
    return {"metadata": {"name": "web", "namespace": "default"}, "spec": given}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        pytest.param(
            DEPLOYMENT,
            {
                "replicas": 1,
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
                "revisionHistoryLimit": 10,
                "progressDeadlineSeconds": 600,
            },
            id="Deployment",
        ),
        pytest.param(REPLICASET, {"replicas": 1}, id="ReplicaSet"),
        pytest.param(
            STATEFULSET,
            {
                "replicas": 1,
                "podManagementPolicy": "OrderedReady",
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
                "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
                "revisionHistoryLimit": 10,
            },
            id="StatefulSet",
        ),
        pytest.param(
            DAEMONSET,
            {
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}},
                "revisionHistoryLimit": 10,
            },
            id="DaemonSet",
        ),
    ],
)
def test_defaults(row: Resource, expected: Obj) -> None:
    made = Writes(row).create(workload())
    spec = made["spec"]
    template = spec.pop("template")
    assert {k: v for k, v in spec.items() if k != "selector"} == expected
    assert template["spec"] == {
        "containers": [
            {
                "name": "c",
                "image": "nginx:1",
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "imagePullPolicy": "IfNotPresent",
            }
        ],
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
    }


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.gvr.kind)
def test_defaulted_object_is_valid_and_stable(row: Resource) -> None:
    made = Writes(row).create(workload())
    new, causes = Writes(row).update(made, made)
    assert causes == []
    assert new == made


def test_given_values_stay() -> None:
    spec = Writes(DEPLOYMENT).create(workload(replicas=0, strategy={"type": "Recreate"}, revisionHistoryLimit=0))[
        "spec"
    ]
    assert (spec["replicas"], spec["strategy"], spec["revisionHistoryLimit"]) == (0, {"type": "Recreate"}, 0)


NO_SELECTOR = workload(selector=None)
OTHER_LABELS = workload(selector={"matchLabels": {"app": "other"}})
MISMATCH = 'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`'


@pytest.mark.parametrize(
    ("row", "obj", "causes"),
    [
        *(pytest.param(row, OTHER_LABELS, [MISMATCH], id=f"{row.gvr.kind} selector and labels") for row in ALL),
        *(
            pytest.param(
                row, NO_SELECTOR, ["spec.selector: Required value", MISMATCH], id=f"{row.gvr.kind} no selector"
            )
            for row in ALL[:3]
        ),
        pytest.param(
            DEPLOYMENT,
            workload(selector={}),
            ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"],
            id="empty selector",
        ),
        pytest.param(
            STATEFULSET,
            workload(selector={}),
            ["spec.selector: Invalid value: {}: empty selector is invalid for statefulset"],
            id="empty selector of a StatefulSet",
        ),
        pytest.param(
            DEPLOYMENT,
            workload(replicas=-1),
            ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"],
            id="negative replicas",
        ),
        pytest.param(
            DEPLOYMENT,
            workload(strategy={"type": "Blue"}),
            [
                'spec.strategy: Unsupported value: {"Type":"Blue","RollingUpdate":null}: '
                'supported values: "Recreate", "RollingUpdate"',
            ],
            id="strategy",
        ),
        pytest.param(
            DEPLOYMENT,
            workload(strategy={"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}),
            [f"{ROLLING}: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
            id="rolling update of Recreate",
        ),
        pytest.param(
            DEPLOYMENT,
            workload(strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}),
            [f'{ROLLING}.maxUnavailable: Invalid value: "0%": may not be 0 when `maxSurge` is 0'],
            id="nothing may move",
        ),
        pytest.param(
            DEPLOYMENT,
            workload(strategy={"rollingUpdate": {"maxUnavailable": "200%"}}),
            [f'{ROLLING}.maxUnavailable: Invalid value: "200%": must not be greater than 100%'],
            id="more than all",
        ),
        pytest.param(
            DEPLOYMENT,
            workload(strategy={"rollingUpdate": {"maxSurge": "some"}}),
            [
                f'{ROLLING}.maxSurge: Invalid value: "some": a valid percent string must be a numeric string followed '
                "by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
            ],
            id="no percent",
        ),
        pytest.param(
            DEPLOYMENT,
            workload(minReadySeconds=600),
            ["spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds"],
            id="deadline before readiness",
        ),
        pytest.param(
            DEPLOYMENT,
            workload(template={"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}}),
            ["spec.template.spec.containers: Required value"],
            id="no containers",
        ),
        pytest.param(
            REPLICASET,
            workload(
                template={
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "a"}]},
                }
            ),
            ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'],
            id="restart policy",
        ),
        pytest.param(
            STATEFULSET,
            workload(podManagementPolicy="Any"),
            ["spec.podManagementPolicy: Invalid value: \"Any\": must be 'OrderedReady' or 'Parallel'"],
            id="pod management",
        ),
        pytest.param(
            STATEFULSET,
            workload(updateStrategy={"type": "OnDelete", "rollingUpdate": {"partition": 1}}),
            [
                'spec.updateStrategy.rollingUpdate: Invalid value: {"Partition":1,"MaxUnavailable":null}: '
                "only allowed for updateStrategy 'RollingUpdate'"
            ],
            id="partition of OnDelete",
        ),
        pytest.param(
            DAEMONSET,
            workload(updateStrategy={"rollingUpdate": {"maxUnavailable": 0}}),
            [
                "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0",
            ],
            id="DaemonSet may not move",
        ),
        pytest.param(
            DAEMONSET,
            workload(updateStrategy={"rollingUpdate": {"maxSurge": 1}}),
            [
                "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: "
                "may not be set when maxUnavailable is non-zero",
            ],
            id="DaemonSet surge and unavailable",
        ),
    ],
)
def test_refused_on_create(row: Resource, obj: Obj, causes: list[str]) -> None:
    assert Writes(row).refused(obj) == causes


def test_daemonset_without_selector_matches_nothing() -> None:
    assert Writes(DAEMONSET).refused(NO_SELECTOR) == [MISMATCH]


def test_claim_templates_are_volumes_of_the_pods() -> None:
    obj = workload(volumeClaimTemplates=[{"metadata": {"name": "data"}, "spec": {}}])
    mount = {"name": "data", "mountPath": "/data"}
    obj["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] = [mount]
    assert Writes(STATEFULSET).refused(obj) == []


@pytest.mark.parametrize("row", [DEPLOYMENT, REPLICASET, DAEMONSET], ids=lambda row: row.gvr.kind)
def test_selector_is_immutable(row: Resource) -> None:
    old = Writes(row).create(workload())
    new = deepcopy(old)
    new["spec"]["selector"]["matchLabels"] = {"tier": "x"}
    new["spec"]["template"]["metadata"]["labels"] = {"tier": "x"}
    assert Writes(row).update(new, old)[1] == [
        'spec.selector: Invalid value: {"matchLabels":{"tier":"x"}}: field is immutable'
    ]


@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        ({"replicas": 3}, True),
        ({"minReadySeconds": 3}, True),
        ({"serviceName": "other"}, False),
        ({"podManagementPolicy": "Parallel"}, False),
        ({"volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": {}}]}, False),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_statefulset_updates(change: Obj, allowed: bool) -> None:
    old = Writes(STATEFULSET).create(workload())
    new = deepcopy(old)
    new["spec"].update(change)
    refusal = (
        "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
        "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' "
        "are forbidden"
    )
    assert Writes(STATEFULSET).update(new, old)[1] == ([] if allowed else [refusal])


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.gvr.kind)
def test_status_is_not_written_with_the_object(row: Resource) -> None:
    given = workload()
    given["status"] = {"replicas": 9}
    old = Writes(row).create(given)
    assert old["status"].get("replicas", 0) == 0
    new = deepcopy(old)
    new["status"] = {"replicas": 9}
    assert Writes(row).update(new, old)[0]["status"] == old["status"]


@pytest.mark.parametrize(
    ("status", "causes"),
    [
        pytest.param({"replicas": 2, "readyReplicas": 2, "availableReplicas": 1}, [], id="plausible"),
        pytest.param(
            {"replicas": -1}, ["status.replicas: Invalid value: -1: must be greater than or equal to 0"], id="negative"
        ),
        pytest.param(
            {"replicas": 1, "updatedReplicas": 2},
            ["status.updatedReplicas: Invalid value: 2: cannot be greater than status.replicas"],
            id="more updated than there are",
        ),
        pytest.param(
            {"replicas": 1, "availableReplicas": 1},
            ["status.availableReplicas: Invalid value: 1: cannot be greater than readyReplicas"],
            id="available and not ready",
        ),
    ],
)
def test_status_counts(status: Obj, causes: list[str]) -> None:
    assert DEPLOYMENT.validate_status
    assert shown(DEPLOYMENT.validate_status({"status": status}, {})) == causes


def test_daemonset_counts_its_templates() -> None:
    old = Writes(DAEMONSET).create(workload())
    note = "deprecated.daemonset.template.generation"
    assert old["metadata"]["annotations"][note] == "1"
    new = deepcopy(old)
    new["spec"]["template"]["spec"]["containers"][0]["image"] = "nginx:2"
    assert Writes(DAEMONSET).update(new, old)[0]["metadata"]["annotations"][note] == "2"


def test_name_that_makes_no_hostname_is_warned_of() -> None:
    assert DEPLOYMENT.warnings
    obj = workload()
    assert list(DEPLOYMENT.warnings(obj)) == []
    obj["metadata"]["name"] = "a.b"
    assert "a DNS label is recommended: [must not contain dots]" in DEPLOYMENT.warnings(obj)[0]


def shown_cells(row: Resource, obj: Obj) -> list[Any]:
    return [column.cell(obj, 0.0) for column in row.columns if column.cell]


def counted(name: str, selector: Obj | None = None, **status: int) -> Obj:
    containers = [{"name": "a", "image": "nginx:1"}, {"name": "b", "image": "redis:7"}]
    spec = {"replicas": 2, "template": {"spec": {"containers": containers}}}
    return {"spec": {**spec, "selector": selector or {"matchLabels": {"app": name}}}, "status": status}


NOT_IN = {"key": "x", "operator": "NotIn", "values": ["a", "b"]}


@pytest.mark.parametrize(
    ("row", "obj", "cells"),
    [
        pytest.param(
            DEPLOYMENT,
            counted("dep", updatedReplicas=2),
            ["0/2", 2, 0, "a,b", "nginx:1,redis:7", "app=dep"],
            id="dep",
        ),
        pytest.param(
            DEPLOYMENT,
            counted("dep", readyReplicas=2, updatedReplicas=2, availableReplicas=2),
            ["2/2", 2, 2, "a,b", "nginx:1,redis:7", "app=dep"],
            id="dep is ready",
        ),
        pytest.param(
            REPLICASET,
            counted("rs", {"matchLabels": {"app": "rs"}, "matchExpressions": [NOT_IN]}, replicas=1),
            [2, 1, 0, "a,b", "nginx:1,redis:7", "app=rs,x notin (a,b)"],
            id="rs",
        ),
        pytest.param(STATEFULSET, counted("ss"), ["0/2", "a,b", "nginx:1,redis:7"], id="ss"),
        pytest.param(
            DAEMONSET,
            counted("ds", desiredNumberScheduled=1, currentNumberScheduled=1, updatedNumberScheduled=1),
            [1, 1, 0, 1, 0, "<none>", "a,b", "nginx:1,redis:7", "app=ds"],
            id="ds",
        ),
    ],
)
def test_cells(row: Resource, obj: Obj, cells: list[Any]) -> None:
    assert shown_cells(row, obj) == cells


def test_controller_revision() -> None:
    assert CONTROLLERREVISION.validate and CONTROLLERREVISION.validate_update
    owner = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "ss", "uid": "u", "controller": True}
    obj = {"metadata": {"ownerReferences": [owner]}, "revision": 1, "data": {"a": 1}}
    assert shown_cells(CONTROLLERREVISION, obj) == ["statefulset.apps/ss", 1]
    assert CONTROLLERREVISION.validate(obj) == []
    assert shown(CONTROLLERREVISION.validate_update({**obj, "data": {"a": 2}}, obj)) == [
        'data: Invalid value: {"a":2}: field is immutable'
    ]
