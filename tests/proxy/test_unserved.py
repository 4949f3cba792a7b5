"""Who is told of a Service without endpoints, and what."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.compile.ruleset import NodeConfig, PortRules, compile_service
from seamark.model import codec
from seamark.model.endpointslice import EndpointSlice
from seamark.model.meta import ObjectKey
from seamark.model.service import Service
from seamark.proxy.unserved import PATIENCE, UnservedServices, describe_unserved

NODE = NodeConfig("node1", ("172.30.0.11",), ("10.244.0.0/16",), ("10.96.0.0/12",))
KEY = ObjectKey("default", "web")


def objects(*, ready: int, other: int, selector: dict[str, str] | None, port: str = "http") -> Any:
    meta = {"name": "web", "namespace": "default"}
    spec = {"clusterIP": "10.96.7.9", "selector": selector, "ports": [{"name": "http", "port": 80}]}
    conditions = [True] * ready + [False] * other
    piece = {
        "metadata": {**meta, "labels": {"kubernetes.io/service-name": "web"}},
        "ports": [{"name": port, "port": 8080}],
        "endpoints": [{"addresses": [f"10.244.1.{n}"], "conditions": {"ready": r}} for n, r in enumerate(conditions)],
    }
    return codec.convert({"metadata": meta, "spec": spec}, Service), codec.convert(piece, EndpointSlice)


def rules(service: Service, piece: EndpointSlice) -> tuple[PortRules, ...]:
    return compile_service(service, [piece], NODE)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ready": 0, "other": 3, "selector": {"app": "x"}}, "no ready endpoints: 0 of 3, selector app=x"),
        ({"ready": 0, "other": 0, "selector": {"b": "2", "a": "1"}}, "no ready endpoints: 0 of 0, selector a=1,b=2"),
        ({"ready": 0, "other": 0, "selector": None}, "no ready endpoints: 0 of 0, no selector"),
        (
            {"ready": 2, "other": 1, "selector": {"app": "x"}, "port": "web"},
            "no ready endpoints of port http: 0 of 3, selector app=x",
        ),
        ({"ready": 1, "other": 2, "selector": {"app": "x"}}, ""),
    ],
)
def test_what_is_told(given: Any, message: str) -> None:
    service, piece = objects(**given)
    assert describe_unserved(service, [piece], rules(service, piece)) == message


def test_once_and_only_what_lasts() -> None:
    idle, busy = (rules(*objects(ready=n, other=0, selector=None)) for n in (0, 1))
    found = UnservedServices()
    found.observe(KEY, idle, 0.0)
    assert found.take_due(PATIENCE - 0.1) == []
    found.observe(KEY, idle, 2.0)
    assert found.take_due(PATIENCE) == [KEY]
    assert found.take_due(PATIENCE * 9) == []
    found.observe(KEY, busy, 50.0)
    found.observe(KEY, idle, 51.0)
    found.observe(KEY, busy, 52.0)
    assert found.take_due(100.0) == []
    found.observe(KEY, idle, 101.0)
    assert found.take_due(101.0 + PATIENCE) == [KEY]
    found.observe(KEY, (), 200.0)
    assert found.take_due(300.0) == [], "it is gone"
