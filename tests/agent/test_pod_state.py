"""What kubectl shows of a pod."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from seamark.agent.look import SETTLE, Backoff, Failure, Look, UsedImage, Verdict
from seamark.agent.pod_state import compute_qos_class, compute_status, container_id
from seamark.agent.podspec import Pod
from seamark.linux.runtime import ContainerState, SandboxConfig, SandboxState
from seamark.model import codec

NOW = 1_700_000_000.0
AT = "2023-11-14T22:13:20Z"
Obj = dict[str, Any]


def pod(*, containers: Any = None, inits: Any = None, status: Any = None, **spec: Any) -> Pod:
    listed = containers or [{"name": "web", "image": "web:1"}]
    body = {"containers": listed, "initContainers": inits or [], **spec}
    meta = {"name": "web", "namespace": "default", "uid": "u1"}
    return codec.convert({"metadata": meta, "spec": body, "status": status or {}}, Pod)


def look(of: Pod, *containers: ContainerState, **more: Any) -> Look:
    config = SandboxConfig("u1", "default", "web", "web", "10.244.0.2")
    more = {"ip": "10.244.0.2", "host_ip": "192.168.100.11", "listening": frozenset({"web"}), **more}
    return Look(of, NOW, sandbox=SandboxState(config, NOW, True, containers), **more)


def running(name: str = "web", attempt: int = 0) -> ContainerState:
    return ContainerState(name, attempt, "running", started=NOW)


def ended(code: int, name: str = "web", attempt: int = 0, *, oom: bool = False) -> ContainerState:
    return ContainerState(name, attempt, "exited", started=NOW - 5, finished=NOW, exit_code=code, oom=oom)


def only(status: Obj) -> Obj:
    (found,) = status["containerStatuses"]
    return dict(found)


def condition(status: Obj, kind: str) -> Obj:
    return next(dict(c) for c in status["conditions"] if c["type"] == kind)


def test_running_pod() -> None:
    now = look(pod(), running(), images={"web": UsedImage("web:1", "sha256:abc")})
    status = compute_status(now)
    assert (status["phase"], status["podIP"], status["podIPs"]) == ("Running", "10.244.0.2", [{"ip": "10.244.0.2"}])
    assert (status["hostIP"], status["qosClass"], status["startTime"]) == ("192.168.100.11", "BestEffort", AT)
    assert only(status) == {
        "name": "web",
        "state": {"running": {"startedAt": AT}},
        "lastState": {},
        "ready": True,
        "started": True,
        "restartCount": 0,
        "image": "web:1",
        "imageID": "sha256:abc",
        "containerID": container_id(now, "web", 0),
    }
    assert {c["type"]: c["status"] for c in status["conditions"]} == dict.fromkeys(
        ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"], "True"
    )


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        ({}, {"reason": "ContainerCreating"}),
        (
            {"failures": {"web": Failure("ErrImagePull", "web:1: not found", NOW, 10)}},
            {"reason": "ErrImagePull", "message": "web:1: not found"},
        ),
        (
            {"failures": {"web": Failure("ErrImagePull", "web:1: not found", NOW - 2, 10)}},
            {
                "reason": "ImagePullBackOff",
                "message": 'Back-off pulling image "web:1": ErrImagePull: web:1: not found',
            },
        ),
        (
            {"failures": {"web": Failure("CreateContainerConfigError", 'secret "s" not found', NOW, 10)}},
            {"reason": "CreateContainerConfigError", "message": 'secret "s" not found'},
        ),
        (
            {"refused": ("spec.hostPID: no", "spec.hostIPC: no")},
            {"reason": "UnsupportedFeature", "message": "spec.hostPID: no; spec.hostIPC: no"},
        ),
    ],
    ids=["creating", "pull failed", "pull backs off", "config", "refused"],
)
def test_waiting_reasons(more: Obj, shown: Obj) -> None:
    status = compute_status(look(pod(), **more))
    assert status["phase"] == "Pending"
    assert only(status)["state"] == {"waiting": shown}
    assert "containerID" not in only(status)


def test_containers_behind_init_containers_wait_initializing() -> None:
    status = compute_status(look(pod(inits=[{"name": "one"}]), running("one")))
    assert only(status)["state"] == {"waiting": {"reason": "PodInitializing"}}
    found = condition(status, "Initialized")
    assert (found["status"], found["reason"]) == ("False", "ContainersNotInitialized")
    assert found["message"] == "containers with incomplete status: [one]"
    assert status["phase"] == "Pending"


def test_init_container_that_is_done_is_ready() -> None:
    status = compute_status(look(pod(inits=[{"name": "one"}]), ended(0, "one"), running()))
    (init,) = status["initContainerStatuses"]
    assert (init["ready"], init["state"]["terminated"]["reason"]) == (True, "Completed")
    assert status["phase"] == "Running"


class TestEnded:
    def test_crash_loop(self) -> None:
        held = {"web": Backoff(20.0, NOW - 60)}
        found = only(compute_status(look(pod(), ended(3, attempt=2), ended(3, attempt=1), backoffs=held)))
        message = "back-off 20s restarting failed container=web pod=web_default(u1)"
        assert found["state"] == {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
        assert found["lastState"]["terminated"]["exitCode"] == 3
        assert (found["restartCount"], found["ready"], found["started"]) == (2, False, False)

    def test_restarted_shows_how_it_ended_before(self) -> None:
        found = only(compute_status(look(pod(), running(attempt=1), ended(137, oom=True))))
        assert found["state"] == {"running": {"startedAt": AT}}
        last = found["lastState"]["terminated"]
        assert (last["exitCode"], last["reason"]) == (137, "OOMKilled")

    def test_last_state_survives_a_runtime_that_forgot_it(self) -> None:
        last = {"terminated": {"exitCode": 2, "reason": "Error", "containerID": "runc://x"}}
        written = {"name": "web", "containerID": "runc://y", "restartCount": 1, "lastState": last}
        found = only(compute_status(look(pod(status={"containerStatuses": [written]}), running(attempt=1))))
        assert found["lastState"]["terminated"]["exitCode"] == 2

    @pytest.mark.parametrize(
        ("policy", "codes", "phase"),
        [
            ("Never", [0, 0], "Succeeded"),
            ("Never", [0, 1], "Failed"),
            ("OnFailure", [0, 0], "Succeeded"),
            ("OnFailure", [0, 1], "Running"),
            ("Always", [0, 0], "Running"),
        ],
    )
    def test_phase(self, policy: str, codes: list[int], phase: str) -> None:
        two = pod(containers=[{"name": "a"}, {"name": "b"}], restartPolicy=policy)
        status = compute_status(look(two, ended(codes[0], "a"), ended(codes[1], "b")))
        assert status["phase"] == phase

    def test_completed_pod(self) -> None:
        status = compute_status(look(pod(restartPolicy="Never"), ended(0), messages={("web", 0): "bye"}))
        state = only(status)["state"]["terminated"]
        assert (state["reason"], state["exitCode"], state["message"]) == ("Completed", 0, "bye")
        assert condition(status, "Ready")["reason"] == "PodCompleted"

    def test_phase_once_final_stays(self) -> None:
        assert compute_status(look(pod(status={"phase": "Failed"}), running()))["phase"] == "Failed"

    def test_lost_container_of_a_pod_that_never_restarts(self) -> None:
        written = {"name": "web", "containerID": "runc://y", "state": {"running": {"startedAt": AT}}}
        lost = Look(pod(restartPolicy="Never", status={"containerStatuses": [written]}), NOW)
        status = compute_status(lost)
        assert status["phase"] == "Failed"
        assert only(status)["state"]["terminated"]["reason"] == "ContainerStatusUnknown"

    def test_deadline(self) -> None:
        late = pod(activeDeadlineSeconds=1, status={"startTime": "2023-11-14T22:13:00Z", "phase": "Running"})
        status = compute_status(look(late, ended(137)))
        assert (status["phase"], status["reason"]) == ("Failed", "DeadlineExceeded")

    def test_a_program_that_never_ran(self) -> None:
        never = look(
            pod(restartPolicy="Never"),
            ended(128),
            failures={"web": Failure("RunContainerError", "/no: not found", NOW, 10)},
        )
        shown = only(compute_status(never))["state"]["terminated"]
        assert (shown["reason"], shown["message"], shown["exitCode"]) == ("StartError", "/no: not found", 128)
        own_code = replace(ended(128), pid=7)
        assert only(compute_status(look(pod(restartPolicy="Never"), own_code)))["state"]["terminated"]["reason"] == (
            "Error"
        )

    def test_the_end_is_shown_when_nothing_runs_any_more(self) -> None:
        late = pod(activeDeadlineSeconds=1, status={"startTime": "2023-11-14T22:13:00Z", "phase": "Running"})
        status = compute_status(look(late, running()))
        assert (status["phase"], "reason" in status) == ("Running", False)
        assert condition(status, "Ready")["status"] == "False"
        sidecar = [{"name": "proxy", "image": "web:1", "restartPolicy": "Always"}]
        served = pod(inits=sidecar, restartPolicy="Never", status={"phase": "Running"})
        assert compute_status(look(served, ended(0), running("proxy")))["phase"] == "Running"
        assert compute_status(look(served, ended(0), ended(0, "proxy")))["phase"] == "Succeeded"


class TestReadiness:
    probed = pod(containers=[{"name": "web", "readinessProbe": {"exec": {"command": ["x"]}}}])

    def test_needs_the_probe(self) -> None:
        status = compute_status(look(self.probed, running()))
        assert only(status)["ready"] is False and only(status)["started"] is True
        assert condition(status, "Ready")["message"] == "containers with unready status: [web]"
        good = compute_status(look(self.probed, running(), verdicts={"web": Verdict(0, started=True, ready=True)}))
        assert condition(good, "Ready")["status"] == "True"

    def test_verdict_of_another_attempt_counts_for_nothing(self) -> None:
        old = {"web": Verdict(0, started=True, ready=True)}
        assert only(compute_status(look(self.probed, running(attempt=1), verdicts=old)))["ready"] is False

    def test_without_a_probe_it_needs_a_listener_or_half_a_second(self) -> None:
        early = look(pod(), running(), listening=frozenset())
        assert only(compute_status(early))["ready"] is False
        assert only(compute_status(replace(early, listening=frozenset({"web"}))))["ready"] is True
        assert only(compute_status(replace(early, now=NOW + SETTLE)))["ready"] is True

    def test_gate(self) -> None:
        gated = pod(readinessGates=[{"conditionType": "x/y"}])
        status = compute_status(look(gated, running()))
        assert condition(status, "ContainersReady")["status"] == "True"
        assert condition(status, "Ready")["reason"] == "ReadinessGatesNotReady"
        met = pod(
            readinessGates=[{"conditionType": "x/y"}],
            status={"conditions": [{"type": "x/y", "status": "True", "lastTransitionTime": AT}]},
        )
        status = compute_status(look(met, running()))
        assert condition(status, "Ready")["status"] == "True"
        assert condition(status, "x/y")["lastTransitionTime"] == AT


def test_times_of_transition_are_kept_until_the_status_changes() -> None:
    before = {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"}]}
    kept = compute_status(look(pod(status=before), running()))
    assert condition(kept, "Ready")["lastTransitionTime"] == "2020-01-01T00:00:00Z"
    moved = compute_status(replace(look(pod(status=before)), now=NOW + 1))
    assert condition(moved, "Ready")["lastTransitionTime"] == "2023-11-14T22:13:21Z"


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ([{}], "BestEffort"),
        ([{"requests": {"cpu": "100m"}}], "Burstable"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}}], "Guaranteed"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m"}}], "Guaranteed"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}], "Burstable"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}}, {}], "Burstable"),
    ],
    ids=["none", "requests", "limits", "equal", "less", "one of two"],
)
def test_qos_class(resources: list[Obj], expected: str) -> None:
    listed = [{"name": f"c{i}", "resources": r} for i, r in enumerate(resources)]
    assert compute_qos_class(pod(containers=listed)) == expected
