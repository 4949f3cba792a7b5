"""StatefulSet: order up, order down, updates from the top, and the revision each pod gets."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.controllers.statefulset.claims import plan_claim_owners, render_claims
from seamark.controllers.statefulset.plan import CreatePod, DeletePod, Revisions, plan_pods, plan_status
from seamark.controllers.statefulset.pods import ordinal_of, render_stateful_pod
from seamark.controllers.workloads import StatefulSet, WorkloadPod
from seamark.machinery.clock import format_time
from seamark.model.meta import Object
from seamark.testing.builders import START, as_kind, make_meta, make_pod, make_workload

NOW = START + 100
SAME = Revisions("db-1", "db-1")
CHANGED = Revisions("db-1", "db-2")
GONE = {"deletionTimestamp": format_time(NOW)}


def statefulset(replicas: int = 3, **spec: Any) -> StatefulSet:
    given = {
        "serviceName": "db",
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        **spec,
    }
    return as_kind(StatefulSet, make_workload("StatefulSet", "db", replicas=replicas, **given))


def pod(ordinal: int, *, ready: bool | None = True, revision: str = "db-1", **meta: Any) -> WorkloadPod:
    labels = {"app": "web", "controller-revision-hash": revision}
    return as_kind(WorkloadPod, make_pod(f"db-{ordinal}", ready=ready, labels=labels, **meta))


def finished(ordinal: int) -> WorkloadPod:
    return as_kind(WorkloadPod, {**make_pod(f"db-{ordinal}"), "status": {"phase": "Failed"}})


def steps(ss: StatefulSet, *pods: WorkloadPod, revisions: Revisions = SAME) -> list[str]:
    shown = []
    for action in plan_pods(ss, pods, revisions, now=NOW).actions:
        match action:
            case CreatePod(ordinal, revision):
                shown.append(f"+{ordinal} {revision}")
            case DeletePod(found):
                shown.append(f"-{ordinal_of(ss, found)}")
    return shown


@pytest.mark.parametrize(
    ("pods", "wanted"),
    [
        pytest.param([], ["+0 db-1"], id="the first alone"),
        pytest.param([pod(0, ready=False)], [], id="waits for it to be ready"),
        pytest.param([pod(0)], ["+1 db-1"], id="then the next"),
        pytest.param([pod(0), pod(2)], ["+1 db-1"], id="fills a gap"),
        pytest.param([pod(0), pod(1, **GONE), pod(2)], [], id="waits for one that ends"),
        pytest.param([pod(0), finished(1), pod(2)], ["-1"], id="replaces one that ended"),
        pytest.param([pod(0), pod(1), pod(2)], [], id="complete"),
        pytest.param([pod(0), pod(1), pod(2), pod(3), pod(4)], ["-4"], id="the last goes first"),
        pytest.param([pod(0), pod(1), pod(2), pod(3), pod(4, **GONE)], [], id="and is waited for"),
        pytest.param([pod(0, ready=False), pod(1), pod(2), pod(3)], [], id="not while one before is not ready"),
    ],
)
def test_ordered(pods: list[WorkloadPod], wanted: list[str]) -> None:
    assert steps(statefulset(), *pods) == wanted


def test_parallel_does_everything_at_once() -> None:
    ss = statefulset(podManagementPolicy="Parallel")
    assert steps(ss) == ["+0 db-1", "+1 db-1", "+2 db-1"]
    assert steps(ss, pod(0, ready=False), pod(1), pod(2), pod(3), pod(4)) == ["-4", "-3"]


@pytest.mark.parametrize(
    ("pods", "wanted"),
    [
        pytest.param([pod(0), pod(1), pod(2)], ["-2"], id="from the top"),
        pytest.param([pod(0), pod(1), pod(2, revision="db-2", ready=False)], [], id="waits for the new one"),
        pytest.param([pod(0), pod(1), pod(2, revision="db-2")], ["-1"], id="goes on"),
        pytest.param([pod(0, revision="db-2"), pod(1, revision="db-2"), pod(2, revision="db-2")], [], id="done"),
    ],
)
def test_rolling_update(pods: list[WorkloadPod], wanted: list[str]) -> None:
    assert steps(statefulset(), *pods, revisions=CHANGED) == wanted


def test_update_of_several_at_once() -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": 0, "maxUnavailable": 2}}
    ss = statefulset(4, updateStrategy=rolling, podManagementPolicy="Parallel")
    assert steps(ss, *(pod(n) for n in range(4)), revisions=CHANGED) == ["-3", "-2"]
    half = [pod(0), pod(1), pod(2, revision="db-2"), pod(3, revision="db-2", ready=False)]
    assert steps(ss, *half, revisions=CHANGED) == ["-1"]


def test_partition_keeps_the_pods_below_it_on_the_old_revision() -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
    ss = statefulset(updateStrategy=rolling)
    assert steps(ss, pod(0), pod(1), pod(2), revisions=CHANGED) == ["-2"]
    assert steps(ss, pod(0), pod(1), pod(2, revision="db-2"), revisions=CHANGED) == []
    assert steps(ss, pod(0), revisions=CHANGED) == ["+1 db-1"]
    assert steps(ss, pod(0), pod(1), revisions=CHANGED) == ["+2 db-2"]


def test_on_delete_updates_only_what_somebody_deletes() -> None:
    ss = statefulset(updateStrategy={"type": "OnDelete"})
    assert steps(ss, pod(0), pod(1), pod(2), revisions=CHANGED) == []
    assert steps(ss, pod(0), pod(1), revisions=CHANGED) == ["+2 db-2"]


def test_first_ordinal_can_be_another() -> None:
    ss = statefulset(2, ordinals={"start": 5})
    assert steps(ss) == ["+5 db-1"]
    assert steps(ss, pod(5), pod(6), pod(0)) == ["-0"]


def test_min_ready_seconds_holds_the_next_one_up() -> None:
    plan = plan_pods(statefulset(minReadySeconds=130), [pod(0)], SAME, now=NOW)
    assert (plan.actions, plan.again) == ((), 30.0)


@pytest.mark.parametrize(
    ("name", "wanted"), [("db-0", 0), ("db-12", 12), ("db-01", None), ("db-x", None), ("other-0", None), ("db", None)]
)
def test_ordinal(name: str, wanted: int | None) -> None:
    assert ordinal_of(statefulset(), as_kind(WorkloadPod, make_pod(name))) == wanted


def test_pod_has_its_lasting_identity() -> None:
    made = render_stateful_pod(statefulset(), statefulset().spec.template, 1, "db-abc")
    assert made["metadata"]["name"] == "db-1"
    assert made["metadata"]["labels"] == {
        "app": "web",
        "statefulset.kubernetes.io/pod-name": "db-1",
        "apps.kubernetes.io/pod-index": "1",
        "controller-revision-hash": "db-abc",
    }
    assert (made["spec"]["hostname"], made["spec"]["subdomain"]) == ("db-1", "db")


def test_claims_bear_the_pods_name_and_no_owner() -> None:
    template = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
    ss = statefulset(volumeClaimTemplates=[template])
    (claim,) = render_claims(ss, 1)
    assert claim["metadata"] == {"name": "data-db-1", "namespace": "default", "labels": {"app": "web"}}
    made = render_stateful_pod(ss, ss.spec.template, 1, "r")
    assert made["spec"]["volumes"] == [
        {"name": "data", "persistentVolumeClaim": {"claimName": "data-db-1", "readOnly": False}}
    ]


def test_status_counts_by_revision_and_closes_the_update() -> None:
    half = plan_status(statefulset(), [pod(0), pod(1), pod(2, revision="db-2", ready=False)], CHANGED, now=NOW)
    assert (half.replicas, half.ready_replicas, half.current_replicas, half.updated_replicas) == (3, 2, 2, 1)
    assert (half.current_revision, half.update_revision) == ("db-1", "db-2")
    done = plan_status(statefulset(), [pod(n, revision="db-2") for n in range(3)], CHANGED, now=NOW)
    assert (done.current_revision, done.current_replicas, done.available_replicas) == ("db-2", 3, 3)


@pytest.mark.parametrize(
    ("deleted", "scaled", "condemned", "owners"),
    [
        ("Retain", "Retain", True, []),
        ("Delete", "Retain", True, ["uid-db"]),
        ("Delete", "Retain", False, ["uid-db"]),
        ("Retain", "Delete", False, []),
        ("Retain", "Delete", True, ["uid-db-1"]),
        ("Delete", "Delete", True, ["uid-db-1"]),
        ("Delete", "Delete", False, ["uid-db"]),
    ],
)
@pytest.mark.parametrize("before", [[], ["uid-db"], ["uid-db-1"], ["uid-db", "uid-db-1"]], ids=str)
def test_claims_go_with_what_the_policy_says(
    deleted: str, scaled: str, condemned: bool, owners: list[str], before: list[str]
) -> None:
    policy = {"whenDeleted": deleted, "whenScaled": scaled}
    ss = statefulset(persistentVolumeClaimRetentionPolicy=policy)
    meta = make_meta("data-db-1", ownerReferences=[{"uid": uid, "kind": "x", "name": "x"} for uid in before] or None)
    for _ in range(3):
        patch = plan_claim_owners(ss, as_kind(Object, {"metadata": meta}), pod(1), condemned=condemned)
        if patch is None:
            break
        meta = {**meta, **patch["metadata"]}
    assert [ref["uid"] for ref in meta["ownerReferences"] or []] == owners
