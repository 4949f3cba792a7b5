"""``queries.yaml``: what the names of a scenario are, by hand. One table, asked of the whole DNS server in memory.

A question is ``NAME TYPE``, relative to the cluster's zone unless it ends in a dot. No answer and no rcode is NODATA:
then, and for NXDOMAIN, the SOA of the zone has to be there.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import dns.rdatatype
import msgspec
import pytest
import yaml

from seamark.client.client import Client
from seamark.dns.corefile.parser import parse_corefile
from seamark.dns.host import Host
from seamark.dns.listener import Listener, Source
from seamark.dns.server.core import Core
from seamark.dns.server.instance import Instance, parse_server
from seamark.machinery.wire import Request, Response
from seamark.testing.clock import FakeClock

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*/queries.yaml"))
ZONE = "cluster.local."
COREFILE = ". {\nkubernetes cluster.local in-addr.arpa {\nttl 30\n}\ncache 30\nloadbalance\n}\n"
KINDS = {"services": "Service", "endpointslices": "EndpointSlice"}


class Question(msgspec.Struct, forbid_unknown_fields=True):
    ask: str
    rcode: str = "NOERROR"
    answer: list[str] = []

    @property
    def name(self) -> str:
        name = self.ask.split()[0]
        return name if name.endswith(".") else f"{name}.{ZONE}"

    @property
    def rdtype(self) -> str:
        return self.ask.split()[1]


def read_questions(file: Path) -> list[Question]:
    return msgspec.convert(yaml.safe_load(file.read_text()), list[Question])


class Objects:
    """The objects of a scenario, listed; nothing ever changes."""

    def __init__(self, file: Path) -> None:
        self._lists: dict[str, list[dict[str, Any]]] = {resource: [] for resource in KINDS}
        namespaces = {"default"}
        for obj in yaml.safe_load_all(file.read_text()):
            for resource, kind in KINDS.items():
                if obj["kind"] == kind:
                    namespace = obj["metadata"].setdefault("namespace", "default")
                    namespaces.add(namespace)
                    self._lists[resource].append(_stored(obj))
        self._lists["namespaces"] = [_stored({"metadata": {"name": name}}) for name in sorted(namespaces)]

    async def __call__(self, request: Request) -> Response:
        if request.flag("sendInitialEvents"):  # as a server without streaming lists answers
            return Response(400, json.dumps({"kind": "Status", "code": 400, "message": "no such list"}).encode())
        if request.flag("watch"):
            return Response(200, stream=_nothing())
        items = self._lists[request.path.rsplit("/", 1)[-1]]
        return Response(200, json.dumps({"metadata": {"resourceVersion": "9"}, "items": items}).encode())

    async def close(self) -> None:
        return None


def _stored(obj: dict[str, Any]) -> dict[str, Any]:
    """Ports as the API would have stored them."""
    for port in obj.get("spec", {}).get("ports") or []:
        port.setdefault("protocol", "TCP")
    name = obj["metadata"]["name"]
    return {**obj, "metadata": {**obj["metadata"], "uid": name, "resourceVersion": "5"}}


async def _nothing() -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


@pytest.fixture(params=FILES, ids=lambda file: file.parent.name)
async def server(request: pytest.FixtureRequest, clock: FakeClock) -> AsyncIterator[tuple[Core, list[Question]]]:
    file: Path = request.param
    objects = Objects(file.parent / "objects.yaml")
    host = Host(clock=clock, environment={}, log=lambda line: None, connect=lambda config: Client(objects))
    instance = Instance(parse_server(parse_corefile(COREFILE, file="Corefile", environment={})), host)
    await instance.start()
    yield Core(host, lambda: instance), read_questions(file)
    await instance.stop()


async def test_names_are_as_written(server: tuple[Core, list[Question]]) -> None:
    core, questions = server
    for question in questions:
        query = dns.message.make_query(question.name, question.rdtype)
        wire = await core.answer(Listener(53), query.to_wire(), Source("10.244.1.9", 9), "udp")
        assert isinstance(wire, bytes)
        found = dns.message.from_wire(wire)
        wanted = dns.rdatatype.from_text(question.rdtype)
        data = sorted(r.to_text() for rrset in found.answer if rrset.rdtype == wanted for r in rrset)
        told = (dns.rcode.to_text(found.rcode()), data)
        assert told == (question.rcode, sorted(question.answer)), question.ask
        assert bool(found.authority) == (not question.answer), question.ask
        assert all(str(rrset.name) == question.name for rrset in found.answer), question.ask


def test_every_scenario_has_questions() -> None:
    assert [file.parent for file in FILES] == sorted(path.parent for path in HERE.glob("*/objects.yaml"))
