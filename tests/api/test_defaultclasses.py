"""Which class an object gets that names none."""

from __future__ import annotations

from typing import Any

from seamark.client.client import Client
from seamark.machinery.gvr import INGRESSCLASSES, INGRESSES
from seamark.testing.clock import FakeClock

MARK = {"ingressclass.kubernetes.io/is-default-class": "true"}
BACKEND = {"service": {"name": "web", "port": {"number": 80}}}


async def _give_class(client: Client, name: str, annotations: dict[str, str] = MARK) -> None:
    meta = {"name": name, "annotations": annotations}
    await client.create(INGRESSCLASSES, {"metadata": meta, "spec": {"controller": "example.com/ingress"}})


async def _class_of(client: Client, name: str, **spec: Any) -> str | None:
    body = {"metadata": {"name": name, "namespace": "default"}, "spec": {"defaultBackend": BACKEND, **spec}}
    made = await client.create(INGRESSES, body)
    found: str | None = made["spec"].get("ingressClassName")
    return found


async def test_of_two_default_classes_the_younger_and_of_one_age_the_lower_name(
    client: Client, clock: FakeClock
) -> None:
    await _give_class(client, "plain", {})
    assert await _class_of(client, "early") is None
    await _give_class(client, "b")
    await _give_class(client, "a")
    await _give_class(client, "c")
    assert await _class_of(client, "tied") == "a"
    await clock.advance(1.0)
    await _give_class(client, "z")
    assert await _class_of(client, "late") == "z"
    assert await _class_of(client, "named", ingressClassName="plain") == "plain"
