"""Which ports of the node lead to a pod."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.agent.hostports import collide, select_host_ports
from seamark.agent.podspec import Pod
from seamark.linux.runtime import HostPort
from seamark.model import codec

Obj = dict[str, Any]


def pod(*containers: Obj, **spec: Any) -> Pod:
    return codec.convert({"spec": {"containers": list(containers), **spec}}, Pod)


def one(**port: Any) -> Obj:
    return {"name": "c", "ports": [{"containerPort": 8080, "protocol": "TCP", **port}]}


@pytest.mark.parametrize(
    ("given", "found"),
    [
        pytest.param(pod(one()), (), id="none asked for"),
        pytest.param(pod(one(hostPort=80)), (HostPort("TCP", 80, 8080),), id="any address"),
        pytest.param(
            pod(one(hostPort=80, hostIP="0.0.0.0")), (HostPort("TCP", 80, 8080),), id="any address, spelt out"
        ),
        pytest.param(
            pod(one(hostPort=80, hostIP="127.0.0.1", protocol="UDP")),
            (HostPort("UDP", 80, 8080, ip="127.0.0.1"),),
            id="one address",
        ),
        pytest.param(pod(one(hostPort=80, hostIP="fd00::1")), (), id="an address of a family pods have not"),
        pytest.param(pod(one(hostPort=8080), hostNetwork=True), (), id="the node's network"),
        pytest.param(
            pod(
                one(hostPort=80),
                initContainers=[
                    {**one(hostPort=81), "name": "first"},
                    {**one(hostPort=82), "name": "beside", "restartPolicy": "Always"},
                ],
            ),
            (HostPort("TCP", 82, 8080), HostPort("TCP", 80, 8080)),
            id="sidecars have them, init containers do not",
        ),
    ],
)
def test_host_ports(given: Pod, found: tuple[HostPort, ...]) -> None:
    assert select_host_ports(given) == found


@pytest.mark.parametrize(
    ("asked", "taken", "found"),
    [
        pytest.param(one(hostPort=80), one(hostPort=80), True, id="the same"),
        pytest.param(one(hostPort=80), one(hostPort=81), False, id="another port"),
        pytest.param(one(hostPort=80), one(hostPort=80, protocol="UDP"), False, id="another protocol"),
        pytest.param(one(hostPort=80, hostIP="10.0.0.1"), one(hostPort=80, hostIP="10.0.0.2"), False, id="addresses"),
        pytest.param(one(hostPort=80, hostIP="10.0.0.1"), one(hostPort=80, hostIP="0.0.0.0"), True, id="any address"),
        pytest.param(one(), one(hostPort=80), False, id="asks for none"),
    ],
)
def test_collisions(asked: Obj, taken: Obj, found: bool) -> None:
    assert collide(pod(asked), [pod(one()), pod(taken)]) is found
    assert collide(pod(asked), [pod(taken, hostNetwork=True)]) is found
