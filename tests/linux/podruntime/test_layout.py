"""What the supervisor writes is read back as the contract's values."""

from __future__ import annotations

import json

from seamark.linux.podruntime.layout import parse_config, parse_state, render_config
from seamark.linux.runtime import ContainerState, HostPort, SandboxConfig

PORTS = (HostPort("TCP", 80, 8080), HostPort("UDP", 53, 5353, ip="127.0.0.1"))
CONFIG = SandboxConfig("u-1", "default", "web", "web", ip="10.244.0.2", host_ports=PORTS)


def test_a_config_survives_its_file() -> None:
    written = json.dumps(render_config(CONFIG) | {"runc": "/usr/sbin/runc"})
    assert parse_config(json.loads(written)) == CONFIG


def test_the_newest_attempt_and_the_one_before_are_told() -> None:
    containers = [{"name": name, "attempt": n, "status": "exited"} for name in ("a", "b") for n in range(3)]
    state = parse_state(CONFIG, {"created": 5.5, "containers": containers[:4]}, alive=True)
    assert [(c.name, c.attempt) for c in state.containers] == [("a", 1), ("a", 2), ("b", 0)]
    assert state.created == 5.5


def test_a_container_keeps_what_is_known() -> None:
    data = {"name": "a", "attempt": 0, "status": "running", "pid": 7, "start": 99, "started": 1.5, "image": "i"}
    state = parse_state(CONFIG, {"containers": [data]}, alive=False)
    assert state.containers == (ContainerState("a", 0, "running", image="i", pid=7, started=1.5),)
    assert not state.alive


def test_no_state_file_yet() -> None:
    assert parse_state(CONFIG, {}, alive=False).containers == ()
