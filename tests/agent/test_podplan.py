"""Looks in, actions out."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Any, Literal

import pytest

from seamark.agent.look import Backoff, Failure, Kill, Look, UsedImage, Verdict
from seamark.agent.podplan import (
    CancelStarts,
    CreateSandbox,
    Finish,
    NoteBackoff,
    NoteKill,
    Plan,
    RemoveSandbox,
    RunHook,
    Signal,
    StartContainer,
    format_wait,
    plan_failure,
    plan_pod,
)
from seamark.agent.podspec import Pod
from seamark.linux.runtime import ContainerState, SandboxConfig, SandboxState
from seamark.model import codec

NOW = 1_700_000_000.0
Status = Literal["created", "running", "exited"]


def pod(*, containers: Any = None, inits: Any = None, status: Any = None, **spec: Any) -> Pod:
    meta = {"name": "web", "namespace": "default", "uid": "u1"}
    for key in ("deletionTimestamp", "deletionGracePeriodSeconds"):
        if key in spec:
            meta[key] = spec.pop(key)
    listed = containers or [{"name": "web", "image": "web:1"}]
    body = {"containers": listed, "initContainers": inits or [], **spec}
    return codec.convert({"metadata": meta, "spec": body, "status": status or {}}, Pod)


def container(
    name: str, status: Status = "running", *, attempt: int = 0, code: int = 0, ago: float = 0
) -> ContainerState:
    finished = NOW - ago if status == "exited" else 0.0
    return ContainerState(name, attempt, status, started=NOW - ago - 1, finished=finished, exit_code=code)


def sandbox(*containers: ContainerState, alive: bool = True) -> SandboxState:
    return SandboxState(SandboxConfig("u1", "default", "web", "web", "10.244.0.2"), NOW - 100, alive, containers)


def look(of: Pod, *containers: ContainerState, alive: bool = True, **more: Any) -> Look:
    return Look(of, NOW, sandbox=sandbox(*containers, alive=alive), ip="10.244.0.2", **more)


class TestSandbox:
    def test_comes_first(self) -> None:
        assert plan_pod(Look(pod(), NOW)).actions == (CreateSandbox(),)

    def test_is_not_made_twice(self) -> None:
        assert plan_pod(Look(pod(), NOW, busy=frozenset({""}))) == Plan()

    def test_failure_waits_for_its_time(self) -> None:
        failed = Failure("FailedMount", "x", NOW - 1, 2.0)
        assert plan_pod(Look(pod(), NOW, blocked=failed)) == Plan((), NOW + 1)
        assert plan_pod(Look(pod(), NOW + 1, blocked=failed)).actions == (CreateSandbox(),)

    def test_dead_one_goes_first(self) -> None:
        (action,) = plan_pod(look(pod(), container("web"), alive=False)).actions
        assert isinstance(action, RemoveSandbox) and action.why

    def test_refused_pod_never_gets_one(self) -> None:
        assert plan_pod(Look(pod(), NOW, refused=("spec.hostPID: no",))) == Plan()

    def test_lost_one_restarts_what_ran_with_its_count_raised(self) -> None:
        running = {"name": "web", "containerID": "runc://x", "restartCount": 2, "state": {"running": {}}}
        before = pod(status={"containerStatuses": [running]})
        assert plan_pod(Look(before, NOW)).actions == (CreateSandbox(),)
        (action,) = plan_pod(look(before)).actions
        assert isinstance(action, StartContainer) and action.attempt == 3

    def test_lost_one_of_a_pod_that_never_restarts_is_not_made_again(self) -> None:
        running = {"name": "web", "containerID": "runc://x", "state": {"running": {}}}
        assert plan_pod(Look(pod(restartPolicy="Never", status={"containerStatuses": [running]}), NOW)) == Plan()


class TestStart:
    def test_all_app_containers(self) -> None:
        two = pod(containers=[{"name": "a"}, {"name": "b"}])
        assert plan_pod(look(two)).actions == (StartContainer("a", 0), StartContainer("b", 0))

    def test_not_one_whose_start_is_under_way(self) -> None:
        assert plan_pod(look(pod(), busy=frozenset({"web"}))) == Plan()

    def test_failed_start_is_tried_again_at_its_time(self) -> None:
        failed = {"web": Failure("CreateContainerConfigError", "x", NOW - 3, 10.0)}
        assert plan_pod(look(pod(), failures=failed)) == Plan((), NOW + 7)
        assert plan_pod(replace(look(pod(), failures=failed), now=NOW + 7)).actions == (StartContainer("web", 0),)

    def test_failed_pull_wakes_to_become_a_back_off(self) -> None:
        failed = {"web": Failure("ErrImagePull", "x", NOW, 10.0)}
        assert plan_pod(look(pod(), failures=failed)).wake_at == NOW + 2

    @pytest.mark.parametrize(
        ("before", "delay"),
        [
            (None, 10.0),
            (Failure("A", "", 0, 10.0), 20.0),
            (Failure("A", "", 0, 200.0), 300.0),
            (Failure("B", "", 0, 80), 10),
        ],
        ids=["first", "doubles", "at most five minutes", "another reason begins anew"],
    )
    def test_delay_of_failures(self, before: Failure | None, delay: float) -> None:
        assert plan_failure(before, "A", "", NOW).delay == delay


class TestRestart:
    def test_first_is_immediate_and_arms_the_back_off(self) -> None:
        plan = plan_pod(look(pod(), container("web", "exited", code=1)))
        assert plan.actions == (StartContainer("web", 1, Backoff(10.0, NOW)),)

    def test_second_waits(self) -> None:
        held = {"web": Backoff(10.0, NOW - 5)}
        plan = plan_pod(look(pod(), container("web", "exited", attempt=1, code=1, ago=4), backoffs=held))
        (note,) = plan.actions
        assert (
            isinstance(note, NoteBackoff)
            and note.text == "back-off 10s restarting failed container=web pod=web_default(u1)"
        )
        assert plan.wake_at == NOW + 6

    def test_doubles_to_five_minutes(self) -> None:
        delays = []
        held = Backoff(10.0, NOW)
        for _ in range(7):
            ended = container("web", "exited", attempt=1, code=1, ago=300)
            (action,) = plan_pod(look(pod(), ended, backoffs={"web": held})).actions
            assert isinstance(action, StartContainer) and action.backoff
            held = action.backoff
            delays.append(held.delay)
        assert delays == [20, 40, 80, 160, 300, 300, 300]

    def test_is_forgotten_after_ten_good_minutes(self) -> None:
        held = {"web": Backoff(300.0, NOW - 601)}
        (action,) = plan_pod(look(pod(), container("web", "exited", attempt=7, code=1), backoffs=held)).actions
        assert action == StartContainer("web", 8, Backoff(10.0, NOW))

    @pytest.mark.parametrize(
        ("policy", "code", "again"),
        [("Always", 0, True), ("OnFailure", 1, True), ("OnFailure", 0, False), ("Never", 1, False)],
    )
    def test_follows_the_policy(self, policy: str, code: int, again: bool) -> None:
        plan = plan_pod(look(pod(restartPolicy=policy), container("web", "exited", code=code)))
        assert any(isinstance(a, StartContainer) for a in plan.actions) is again

    def test_finished_pod_loses_its_sandbox(self) -> None:
        plan = plan_pod(look(pod(restartPolicy="Never"), container("web", "exited")))
        assert plan.actions == (RemoveSandbox(),)

    @pytest.mark.parametrize(("seconds", "text"), [(10, "10s"), (80, "1m20s"), (300, "5m0s")])
    def test_waits_are_shown_as_go_does(self, seconds: float, text: str) -> None:
        assert format_wait(seconds) == text


class TestInit:
    inits = ({"name": "one"}, {"name": "two"})

    def test_one_after_another(self) -> None:
        of = pod(inits=list(self.inits))
        assert plan_pod(look(of)).actions == (StartContainer("one", 0),)
        assert plan_pod(look(of, container("one"))).actions == ()
        done = container("one", "exited")
        assert plan_pod(look(of, done)).actions == (StartContainer("two", 0),)
        assert plan_pod(look(of, done, container("two", "exited"))).actions == (StartContainer("web", 0),)

    def test_failed_one_runs_again_before_anything_else(self) -> None:
        failed = container("one", "exited", code=1)
        assert plan_pod(look(pod(inits=list(self.inits)), failed)).actions == (
            StartContainer("one", 1, Backoff(10.0, NOW)),
        )

    def test_failed_one_ends_a_pod_that_never_restarts(self) -> None:
        of = pod(inits=list(self.inits), restartPolicy="Never")
        assert plan_pod(look(of, container("one", "exited", code=1))).actions == (RemoveSandbox(),)

    def test_is_not_run_again_because_an_app_container_crashed(self) -> None:
        of = pod(inits=[{"name": "one"}])
        states = (container("one", "exited"), container("web", "exited", code=1))
        assert plan_pod(look(of, *states)).actions == (StartContainer("web", 1, Backoff(10.0, NOW)),)

    def test_sidecar_only_has_to_start(self) -> None:
        of = pod(inits=[{"name": "side", "restartPolicy": "Always"}, {"name": "one"}])
        assert plan_pod(look(of)).actions == (StartContainer("side", 0),)
        assert plan_pod(look(of, container("side"))).actions == (StartContainer("one", 0),)
        ready = (container("side"), container("one", "exited"))
        assert plan_pod(look(of, *ready)).actions == (StartContainer("web", 0),)

    def test_sidecar_waits_for_its_startup_probe(self) -> None:
        probe = {"exec": {"command": ["x"]}}
        of = pod(inits=[{"name": "side", "restartPolicy": "Always", "startupProbe": probe}])
        assert plan_pod(look(of, container("side"))).actions == ()
        started = {"side": Verdict(0, started=True, ready=False)}
        assert plan_pod(look(of, container("side"), verdicts=started)).actions == (StartContainer("web", 0),)

    def test_sidecar_runs_again_and_ends_last(self) -> None:
        of = pod(inits=[{"name": "side", "restartPolicy": "Always"}], restartPolicy="Never")
        again = plan_pod(look(of, container("side", "exited"), container("web")))
        assert again.actions == (StartContainer("side", 1, Backoff(10.0, NOW)),)
        last = plan_pod(look(of, container("side"), container("web", "exited")))
        assert Signal("side", signal.SIGTERM) in last.actions


class TestProbes:
    def test_condemned_container_is_stopped(self) -> None:
        verdicts = {"web": Verdict(0, started=True, ready=False, failure="liveness")}
        plan = plan_pod(look(pod(), container("web"), verdicts=verdicts))
        note, sent = plan.actions
        assert isinstance(note, NoteKill) and note.text == "Container web failed liveness probe, will be restarted"
        assert sent == Signal("web", signal.SIGTERM)

    def test_verdict_of_an_earlier_attempt_counts_for_nothing(self) -> None:
        verdicts = {"web": Verdict(0, started=True, ready=False, failure="liveness")}
        assert plan_pod(look(pod(), container("web", attempt=1), verdicts=verdicts)).actions == ()

    def test_grace_of_the_probe_wins(self) -> None:
        probe = {"exec": {"command": ["x"]}, "terminationGracePeriodSeconds": 2}
        of = pod(containers=[{"name": "web", "livenessProbe": probe}])
        verdicts = {"web": Verdict(0, started=True, ready=False, failure="liveness")}
        assert plan_pod(look(of, container("web"), verdicts=verdicts)).wake_at == NOW + 2


class TestImageChange:
    def test_container_is_replaced(self) -> None:
        used = {"web": UsedImage("web:0", "sha256:0")}
        note, sent = plan_pod(look(pod(), container("web"), images=used)).actions
        assert isinstance(note, NoteKill) and note.text == "Container web definition changed, will be restarted"
        assert sent == Signal("web", signal.SIGTERM)

    def test_same_image_is_left_alone(self) -> None:
        used = {"web": UsedImage("web:1", "sha256:0")}
        assert plan_pod(look(pod(), container("web"), images=used)) == Plan()


class TestStop:
    def deleted(self, **more: Any) -> Pod:
        return pod(deletionTimestamp="2023-11-14T22:13:50Z", deletionGracePeriodSeconds=30, **more)

    def test_term_then_patience_then_kill(self) -> None:
        first = plan_pod(look(self.deleted(), container("web")))
        assert first.actions == (NoteKill("web", Kill(NOW, termed=NOW), "Stopping container web"), Signal("web", 15))
        assert first.wake_at == NOW + 30
        waiting = look(self.deleted(), container("web"), kills={"web": Kill(NOW - 29, termed=NOW - 29)})
        assert plan_pod(waiting) == Plan((), NOW + 1)
        over = plan_pod(replace(waiting, now=NOW + 1))
        assert Signal("web", 9) in over.actions

    def test_second_delete_shortens_the_patience(self) -> None:
        of = pod(deletionTimestamp="x", deletionGracePeriodSeconds=5)
        kills = {"web": Kill(NOW - 6, termed=NOW - 6)}
        assert Signal("web", 9) in plan_pod(look(of, container("web"), kills=kills)).actions

    def test_stop_signal_of_the_container(self) -> None:
        of = self.deleted(containers=[{"name": "web", "lifecycle": {"stopSignal": "SIGUSR1"}}])
        assert Signal("web", signal.SIGUSR1) in plan_pod(look(of, container("web"))).actions

    def test_ended_pod_is_finished(self) -> None:
        assert plan_pod(look(self.deleted(), container("web", "exited"))).actions == (Finish(),)

    def test_pod_that_never_ran_is_finished_at_once(self) -> None:
        assert plan_pod(Look(self.deleted(), NOW)).actions == (Finish(),)

    def test_starts_under_way_are_given_up(self) -> None:
        assert plan_pod(look(self.deleted(), busy=frozenset({"web"}))).actions == (CancelStarts(),)

    def test_pod_gone_from_the_api_is_stopped_too(self) -> None:
        assert Signal("web", 15) in plan_pod(look(pod(), container("web"), gone=True)).actions

    def test_deadline(self) -> None:
        of = pod(activeDeadlineSeconds=60, status={"startTime": "2023-11-14T22:12:20Z"})
        assert Signal("web", 15) in plan_pod(look(of, container("web"))).actions
        young = pod(activeDeadlineSeconds=61, status={"startTime": "2023-11-14T22:12:20Z"})
        assert plan_pod(look(young, container("web"))) == Plan((), NOW + 1)


class TestPreStop:
    of = pod(
        deletionTimestamp="x",
        deletionGracePeriodSeconds=30,
        containers=[{"name": "web", "lifecycle": {"preStop": {"exec": {"command": ["bye"]}}}}],
    )

    def test_hook_before_term(self) -> None:
        plan = plan_pod(look(self.of, container("web")))
        assert plan.actions == (
            NoteKill("web", Kill(NOW, has_hook=True), "Stopping container web"),
            RunHook("web", 30.0),
        )

    def test_term_when_the_hook_ended(self) -> None:
        kills = {"web": Kill(NOW - 3, has_hook=True, hook_ended=NOW)}
        plan = plan_pod(look(self.of, container("web"), kills=kills))
        assert Signal("web", 15) in plan.actions and plan.wake_at == NOW + 27

    def test_hook_that_used_up_the_patience_leaves_two_seconds(self) -> None:
        kills = {"web": Kill(NOW - 30, has_hook=True)}
        plan = plan_pod(look(self.of, container("web"), kills=kills))
        assert Signal("web", 15) in plan.actions and plan.wake_at == NOW + 2
