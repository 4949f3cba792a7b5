"""The node's own objects."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from seamark.agent.config import CONTROL_PLANE_ROLE, AgentConfig
from seamark.agent.machine import Machine, read_machine
from seamark.agent.registration import (
    Registration,
    needs_status,
    render_conditions,
    render_labels,
    render_node,
    render_status,
)
from seamark.client.client import Client
from seamark.machinery.gvr import NAMESPACES, NODES
from seamark.testing.clock import FakeClock

MACHINE = Machine(2, 8 * 2**30, 100 * 2**30, "amd64", "6.1.0", "Debian GNU/Linux 12 (bookworm)", "m", "b")
NOW = 1_700_000_000.0
Obj = dict[str, Any]


@pytest.fixture
def config(tmp_path: Path) -> AgentConfig:
    return AgentConfig(
        node="master1",
        node_ip="192.168.100.11",
        pod_cidr="10.244.0.0/24",
        state_dir=tmp_path,
        roles=(CONTROL_PLANE_ROLE,),
        labels={"zone": "a"},
    )


def test_labels(config: AgentConfig) -> None:
    labels = render_labels(config, MACHINE)
    assert labels["node-role.kubernetes.io/control-plane"] == "" and labels["zone"] == "a"
    assert (labels["kubernetes.io/os"], labels["kubernetes.io/arch"]) == ("linux", "amd64")


def test_sizes(config: AgentConfig) -> None:
    capacity = render_node(config, MACHINE, NOW)["status"]["capacity"]
    assert capacity == {"cpu": "2", "memory": "8388608Ki", "ephemeral-storage": "104857600Ki", "pods": "110"}


def test_foreign_conditions_and_times_of_transition_stay() -> None:
    before = [
        {"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"},
        {"type": "DiskPressure", "status": "Unknown", "lastTransitionTime": "2020-01-01T00:00:00Z"},
        {"type": "NetworkUnavailable", "status": "False"},
    ]
    found = {c["type"]: c for c in render_conditions(before, NOW)}
    assert found["Ready"]["lastTransitionTime"] == "2020-01-01T00:00:00Z"
    assert found["DiskPressure"]["lastTransitionTime"] == "2023-11-14T22:13:20Z"
    assert found["NetworkUnavailable"] == {"type": "NetworkUnavailable", "status": "False"}


class TestWhenStatusIsWritten:
    def test_not_for_a_heartbeat_alone(self, config: AgentConfig) -> None:
        old = render_status(config, MACHINE, {}, NOW)
        assert not needs_status(old, render_status(config, MACHINE, old, NOW + 299), NOW + 299)
        assert needs_status(old, render_status(config, MACHINE, old, NOW + 300), NOW + 300)

    def test_when_somebody_made_it_unknown(self, config: AgentConfig) -> None:
        old = render_status(config, MACHINE, {}, NOW)
        for condition in old["conditions"]:
            condition["status"] = "Unknown"
        assert needs_status(old, render_status(config, MACHINE, old, NOW + 1), NOW + 1)

    def test_first_time(self, config: AgentConfig) -> None:
        assert needs_status({}, render_status(config, MACHINE, {}, NOW), NOW)


class TestBeat:
    @pytest.fixture
    async def registration(self, config: AgentConfig, client: Client, clock: FakeClock) -> Registration:
        await client.create(NAMESPACES, {"metadata": {"name": "kube-node-lease"}})
        return Registration(config, MACHINE, client=client, clock=clock, rng=Random(1))

    async def test_keeps_what_is_not_its_own(self, registration: Registration, client: Client) -> None:
        await registration.beat()
        theirs = {"metadata": {"labels": {"theirs": "1", "zone": "b"}}, "spec": {"unschedulable": True}}
        await client.patch(NODES, "master1", theirs)
        await registration.beat()
        node = await client.get(NODES, "master1")
        assert node["spec"]["unschedulable"] is True
        assert node["metadata"]["labels"]["theirs"] == "1" and node["metadata"]["labels"]["zone"] == "a"

    async def test_comes_back_when_it_was_deleted(self, registration: Registration, client: Client) -> None:
        await registration.beat()
        await client.delete(NODES, "master1")
        await registration.beat()
        assert (await client.get(NODES, "master1"))["spec"]["podCIDR"] == "10.244.0.0/24"


def test_machine_from_its_files(tmp_path: Path) -> None:
    for path, text in {
        "proc/meminfo": "MemTotal:       2048 kB\nMemFree: 1 kB\n",
        "etc/os-release": 'NAME="x"\nPRETTY_NAME="Some Linux 1"\n',
        "etc/machine-id": "abc\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    found = read_machine(tmp_path, root=tmp_path)
    assert (found.memory, found.os_image, found.machine_id, found.boot_id) == (2097152, "Some Linux 1", "abc", "")
