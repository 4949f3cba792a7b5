"""Deployment: each step of a rollout, and the two promises of a rolling update under any order of events."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.controllers.deployment.plan import CreateSet, DeleteSet, PatchSet, Plan, SetRevision, plan_deployment
from seamark.controllers.deployment.replicasets import DESIRED, MAXIMUM, REVISION, REVISION_HISTORY, render_replicaset
from seamark.controllers.deployment.rolling import bounds
from seamark.controllers.workloads import Deployment, ReplicaSet
from seamark.testing.builders import START, as_kind, make_template, make_workload

NOW = START + 100


def deployment(
    replicas: int = 3, *, image: str = "v1", annotations: dict[str, str] | None = None, **spec: Any
) -> Deployment:
    obj = make_workload("Deployment", "web", replicas=replicas, template=make_template(image))
    obj["spec"] |= {"revisionHistoryLimit": 10, "progressDeadlineSeconds": 600, **spec}
    obj["metadata"]["annotations"] = annotations or {}
    return as_kind(Deployment, obj)


def replicaset(
    d: Deployment,
    *,
    size: int,
    revision: int = 1,
    image: str = "v1",
    available: int | None = None,
    age: int = 0,
    **annotations: str,
) -> ReplicaSet:
    """A set that ``d`` made when its image was ``image``; available None = all of them."""
    version = deployment(d.spec.replicas, image=image)
    obj = render_replicaset(version, replicas=size, revision=revision, surge=bounds(d).surge)
    obj["metadata"] |= {"uid": f"uid-{image}", "resourceVersion": "1", "generation": 1}
    obj["metadata"]["creationTimestamp"] = f"2023-11-14T22:{20 - age:02}:00Z"
    obj["metadata"]["annotations"] |= annotations
    count = size if available is None else available
    obj["status"] = {"replicas": size, "readyReplicas": count, "availableReplicas": count, "observedGeneration": 1}
    return as_kind(ReplicaSet, obj)


def plan(d: Deployment, *sets: ReplicaSet, pods: bool = False) -> Plan:
    return plan_deployment(d, sets, has_pods=lambda rs: pods, now=NOW)


def sizes(found: Plan) -> dict[str, int]:
    return {a.rs.metadata.uid: a.replicas for a in found.actions if isinstance(a, PatchSet)}


def condition(found: Plan, type: str) -> tuple[str, str]:
    return next((c.status, c.reason) for c in found.status.conditions or () if c.type == type)


def test_first_set_is_made_whole() -> None:
    found = plan(deployment(annotations={"kubernetes.io/change-cause": "first", REVISION: "9"}))
    (action,) = found.actions
    assert isinstance(action, CreateSet)
    meta, spec = action.obj["metadata"], action.obj["spec"]
    version = meta["labels"]["pod-template-hash"]
    assert meta["name"] == f"web-{version}"
    assert set(version) <= set("bcdfghjklmnpqrstvwxz2456789")
    assert spec["replicas"] == 3
    assert spec["selector"]["matchLabels"] == {"app": "web", "pod-template-hash": version}
    assert spec["template"]["metadata"]["labels"] == {"app": "web", "pod-template-hash": version}
    assert meta["annotations"] == {"kubernetes.io/change-cause": "first", REVISION: "1", DESIRED: "3", MAXIMUM: "4"}
    assert meta["ownerReferences"][0]["blockOwnerDeletion"] is True
    assert condition(found, "Progressing") == ("True", "NewReplicaSetCreated")
    assert condition(found, "Available") == ("False", "MinimumReplicasUnavailable")


def test_name_of_a_version_never_changes() -> None:
    """Pinned: another hash would roll every Deployment of every user at the next upgrade."""
    (action,) = plan(deployment()).actions
    assert isinstance(action, CreateSet)
    assert action.obj["metadata"]["name"] == "web-76ddb8894c"
    with_null = as_kind(Deployment, make_workload("Deployment", "web", replicas=3, template=make_template("v1")))
    assert render_replicaset(with_null, replicas=1, revision=1, surge=1)["metadata"]["name"] == "web-76ddb8894c"


def test_nothing_to_do_when_complete() -> None:
    d = deployment(annotations={REVISION: "1"})
    found = plan(d, replicaset(d, size=3))
    assert found.actions == ()
    assert condition(found, "Progressing") == ("True", "NewReplicaSetAvailable")
    assert (found.status.replicas, found.status.updated_replicas, found.status.unavailable_replicas) == (3, 3, 0)


def test_revision_of_the_new_set_is_shown_on_the_deployment() -> None:
    d = deployment()
    assert plan(d, replicaset(d, size=3, revision=4)).actions == (SetRevision("4"),)


@pytest.mark.parametrize(
    ("new", "old", "wanted"),
    [
        pytest.param((0, 0), (10, 10), {"uid-v2": 3}, id="grows by the surge first"),
        pytest.param((3, 0), (10, 10), {"uid-v1": 8}, id="then takes what may be unavailable"),
        pytest.param((3, 0), (8, 8), {"uid-v2": 5}, id="grows into the room"),
        pytest.param((5, 0), (8, 8), {}, id="waits while the new ones start"),
        pytest.param((5, 2), (8, 8), {"uid-v1": 6}, id="goes on as they come up"),
        pytest.param((5, 5), (8, 6), {"uid-v1": 3}, id="broken old pods go first"),
        pytest.param((10, 10), (3, 3), {"uid-v1": 0}, id="ends"),
    ],
)
def test_rolling_update_step(new: tuple[int, int], old: tuple[int, int], wanted: dict[str, int]) -> None:
    d = deployment(10, image="v2", annotations={REVISION: "2"})
    sets = (
        replicaset(d, size=new[0], available=new[1], image="v2", revision=2),
        replicaset(d, size=old[0], available=old[1], image="v1", revision=1, age=10),
    )
    assert sizes(plan(d, *sets)) == wanted


def test_second_template_starts_beside_the_first() -> None:
    d = deployment(10, image="v2", annotations={REVISION: "1"})
    (action,) = plan(d, replicaset(d, size=10)).actions
    assert isinstance(action, CreateSet)
    assert action.obj["spec"]["replicas"] == 3
    assert action.obj["metadata"]["annotations"][REVISION] == "2"


def test_rollback_takes_up_the_old_set_under_the_next_revision() -> None:
    d = deployment(3, image="v1", annotations={REVISION: "2"})
    old, present = replicaset(d, size=0, image="v1", revision=1, age=10), replicaset(d, size=3, image="v2", revision=2)
    (action,) = plan(d, old, present).actions
    assert isinstance(action, PatchSet)
    assert action.rs is old
    assert action.patch["metadata"]["annotations"] == {REVISION: "3", REVISION_HISTORY: "1"}


def test_change_of_size_in_the_middle_of_a_rollout_is_shared() -> None:
    """10 -> 20 with 3 surge: 26/13 of each, the larger takes the rounding."""
    d = deployment(20, image="v2", annotations={REVISION: "2"})
    before = deployment(10)
    new = replicaset(before, size=5, image="v2", revision=2, available=2)
    old = replicaset(before, size=8, image="v1", revision=1, age=10)
    found = sizes(plan(d, new, old))
    assert sum(found.values()) == 25
    assert found == {"uid-v2": 10, "uid-v1": 15}


def test_scaling_to_nothing_empties_every_set() -> None:
    d = deployment(0, image="v2", annotations={REVISION: "2"})
    before = deployment(10)
    new = replicaset(before, size=5, image="v2", revision=2)
    assert sizes(plan(d, new, replicaset(before, size=8, age=10))) == {"uid-v2": 0, "uid-v1": 0}


def test_paused_deployment_is_resized_but_not_rolled() -> None:
    d = deployment(5, image="v2", annotations={REVISION: "1"}, paused=True)
    found = plan(d, replicaset(deployment(3), size=3))
    assert sizes(found) == {"uid-v1": 5}
    assert condition(found, "Progressing") == ("Unknown", "DeploymentPaused")
    assert (
        plan(
            deployment(3, image="v2", annotations={REVISION: "1"}, paused=True),
            replicaset(d, size=3, **{DESIRED: "3", MAXIMUM: "4"}),
        ).actions
        == ()
    )


def test_resumed_deployment_says_so() -> None:
    paused = [{"type": "Progressing", "status": "Unknown", "reason": "DeploymentPaused"}]
    obj = make_workload("Deployment", "web", replicas=3, template=make_template("v1"), progressDeadlineSeconds=600)
    d = as_kind(Deployment, {**obj, "status": {"conditions": paused}})
    assert condition(plan(d, replicaset(d, size=3, available=0)), "Progressing") == ("Unknown", "DeploymentResumed")


@pytest.mark.parametrize(
    ("old_size", "old_pods", "wanted"),
    [(3, True, "shrink"), (0, True, "wait"), (0, False, "create")],
    ids=["old runs", "old ends", "old gone"],
)
def test_recreate_never_runs_two_versions(old_size: int, old_pods: bool, wanted: str) -> None:
    d = deployment(3, image="v2", annotations={REVISION: "1"}, strategy={"type": "Recreate"})
    found = plan(d, replicaset(d, size=old_size), pods=old_pods)
    match wanted:
        case "shrink":
            assert sizes(found) == {"uid-v1": 0}
        case "wait":
            assert found.actions == ()
        case _:
            (action,) = found.actions
            assert isinstance(action, CreateSet)
            assert action.obj["spec"]["replicas"] == 3


def test_history_beyond_the_limit_goes_when_the_rollout_is_done() -> None:
    d = deployment(1, image="v9", annotations={REVISION: "9"}, revisionHistoryLimit=2)
    old = [replicaset(d, size=0, image=f"v{n}", revision=n, age=10 - n) for n in range(1, 6)]
    new = replicaset(d, size=1, image="v9", revision=9)
    found = plan(d, *old, new)
    assert [a.rs.metadata.uid for a in found.actions if isinstance(a, DeleteSet)] == ["uid-v1", "uid-v2", "uid-v3"]
    unfinished = replicaset(d, size=1, available=0, image="v9", revision=9)
    assert plan(d, *old, unfinished).actions == ()


def test_stuck_rollout_is_reported_after_the_deadline() -> None:
    progress = {"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"}
    obj = make_workload("Deployment", "web", replicas=3, template=make_template("v1"), progressDeadlineSeconds=60)
    obj["metadata"]["annotations"] = {REVISION: "1"}

    def at(updated: str) -> Plan:
        d = as_kind(
            Deployment,
            {
                **obj,
                "status": {
                    "replicas": 3,
                    "updatedReplicas": 3,
                    "conditions": [{**progress, "lastUpdateTime": updated}],
                },
            },
        )
        return plan(d, replicaset(d, size=3, available=0))

    # NOW is 2023-11-14T22:15:00Z
    assert condition(at("2023-11-14T22:13:59Z"), "Progressing") == ("False", "ProgressDeadlineExceeded")
    waiting = at("2023-11-14T22:14:30Z")
    assert condition(waiting, "Progressing") == ("True", "ReplicaSetUpdated")
    assert waiting.again == 31.0


def test_deployment_being_deleted_changes_nothing() -> None:
    obj = make_workload("Deployment", "web", replicas=3, template=make_template("v2"))
    obj["metadata"]["deletionTimestamp"] = "2023-11-14T22:15:00Z"
    d = as_kind(Deployment, obj)
    assert plan(d, replicaset(d, size=1)).actions == ()


class World:
    """Sets and how many of their pods are available; statuses follow sizes only when told to."""

    def __init__(self, d: Deployment, sizes: dict[str, int]) -> None:
        self.d = d
        self.sizes = dict(sizes)
        self.available = dict(sizes)
        self.known = dict(sizes)  # what the statuses say
        self.made: dict[str, int] = {image: n for n, image in enumerate(sizes)}

    def sets(self) -> list[ReplicaSet]:
        return [
            replicaset(
                self.d,
                size=self.sizes[i],
                available=min(self.known[i], self.sizes[i]),
                image=i,
                revision=n + 1,
                age=20 - n,
            )
            for i, n in self.made.items()
        ]

    def step(self) -> bool:
        found = plan(self.d, *self.sets())
        for action in found.actions:
            if isinstance(action, CreateSet):
                image = action.obj["spec"]["template"]["spec"]["containers"][0]["image"]
                self.made[image] = len(self.made)
                self.sizes[image], self.available[image], self.known[image] = action.obj["spec"]["replicas"], 0, 0
            elif isinstance(action, PatchSet):
                image = action.rs.metadata.uid.removeprefix("uid-")
                self.sizes[image] = action.replicas
                self.available[image] = min(self.available[image], action.replicas)
            elif isinstance(action, SetRevision):
                meta = msgspec.structs.replace(self.d.metadata, annotations={REVISION: action.revision})
                self.d = msgspec.structs.replace(self.d, metadata=meta)
        return bool(found.actions)


@given(
    replicas=st.integers(1, 12),
    surge=st.integers(0, 5),
    unavailable=st.integers(0, 5),
    luck=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=5, max_size=60),
)
def test_rolling_update_keeps_its_promises_and_ends(
    replicas: int, surge: int, unavailable: int, luck: list[tuple[bool, bool]]
) -> None:
    bound = {"maxSurge": surge, "maxUnavailable": unavailable}
    d = deployment(replicas, image="v2", strategy={"type": "RollingUpdate", "rollingUpdate": bound})
    world = World(d, {"v1": replicas})
    least = replicas - bounds(d).unavailable
    starts, seen = zip(*luck, strict=True)
    for turn in range(400):
        lucky = turn >= len(luck)  # in the end everything works
        before = (dict(world.known), dict(world.available))
        moved = world.step()
        assert sum(world.sizes.values()) <= replicas + bounds(d).surge
        assert sum(world.available.values()) >= least
        for image in world.sizes:
            if (lucky or starts[turn]) and world.available[image] < world.sizes[image]:
                world.available[image] += 1
            if lucky or seen[turn]:
                world.known[image] = world.available[image]
        if lucky and not moved and before == (world.known, world.available):
            break
    assert world.sizes == {"v1": 0, "v2": replicas}
