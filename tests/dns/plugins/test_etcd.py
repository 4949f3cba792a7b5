"""Plugin etcd: SkyDNS messages in a real etcd (Debian's etcd-server), written over its gateway, asked as names."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import dns.message
import dns.name
import dns.rcode
import pytest

from seamark.client.base import TransportError
from seamark.client.http import HttpTransport
from seamark.dns.plugins.etcd.message import Message, Value, key_of, select_group, select_ttl
from seamark.machinery.wire import Request
from seamark.testing.ports import free_port

PROGRAM = shutil.which("etcd")
MESSAGES: dict[str, Any] = {
    "local/skydns/prod/web/1": {"host": "10.0.0.1", "port": 80, "ttl": 60},
    "local/skydns/prod/web/2": {"host": "10.0.0.2", "port": 80, "priority": 10, "weight": 300, "ttl": 60},
    "local/skydns/prod/web/6": {"host": "2001:db8::1", "port": 80, "priority": 20, "ttl": 60},
    "local/skydns/prod/db": {"host": "10.0.0.9", "targetstrip": 1, "port": 5432},
    "local/skydns/alias": {"host": "web.prod.skydns.local", "ttl": 20},
    "local/skydns/outside": {"host": "elsewhere.test", "port": 443},
    "local/skydns/loop1": {"host": "loop2.skydns.local"},
    "local/skydns/loop2": {"host": "loop1.skydns.local"},
    "local/skydns/self": {"host": "self.skydns.local"},
    "local/skydns/text": {"text": "says " + "x" * 300},
    "local/skydns/mail/a": {"host": "10.0.0.25", "mail": True, "priority": 5},
    "local/skydns/mail/b": {"host": "mx.prod.skydns.local", "mail": True},
    "local/skydns/prod/mx": {"host": "10.0.0.26"},
    "local/skydns/grouped/one": {"host": "10.1.0.1", "group": "g1"},
    "local/skydns/grouped/sub/two": {"host": "10.1.0.2", "group": "g2"},
    "local/skydns/grouped/three": {"host": "10.1.0.3", "group": "g1"},
    "local/skydns/bad": "not a message",
    "local/skydns/dns/apex/x": {"host": "10.0.0.100", "ttl": 30},
    "local/skydns/dns/ns/a": {"host": "10.0.0.53"},
    "local/skydns/dns/ns/b": {"host": "10.0.0.54"},
    "arpa/in-addr/10/0/0/1": {"host": "web.prod.skydns.local"},
    "plain/flat": {"host": "10.2.0.1"},
    "plain/flat2": {"host": "10.2.0.2"},
}
ZONES = "skydns.local plain 10.0.0.0/24"


class Etcd:
    """One member, its data in a folder of the test."""

    def __init__(self, folder: Path) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        peer = f"http://127.0.0.1:{free_port()}"
        urls = {"listen-client": self.url, "advertise-client": self.url, "listen-peer": peer}
        urls["initial-advertise-peer"] = peer
        options = [f"--{name}-urls={url}" for name, url in urls.items()]
        command = [str(PROGRAM), f"--data-dir={folder}", f"--initial-cluster=default={peer}", *options]
        environment = {**os.environ, "ETCD_UNSUPPORTED_ARCH": os.uname().machine}
        with (folder.parent / "etcd.log").open("wb") as log:
            self._program = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    async def post(self, path: str, token: str = "", **what: Any) -> dict[str, Any]:
        transport = HttpTransport(self.url)
        try:
            headers = {"authorization": token} if token else {}
            response = await transport(Request("POST", path, headers=headers, body=json.dumps(what).encode()))
            return dict(json.loads(response.body))
        finally:
            await transport.close()

    async def until_ready(self) -> None:
        for _ in range(200):
            try:
                if (await self.post("/v3/kv/range", key=encoded("x"))).get("header"):
                    return
            except TransportError:
                pass
            await asyncio.sleep(0.05)
        raise AssertionError("etcd does not answer")

    async def put(self, key: str, value: Any, lease: int = 0) -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        await self.post("/v3/kv/put", key=encoded(f"/skydns/{key}"), value=encoded(text), lease=str(lease))

    def stop(self) -> None:
        self._program.terminate()
        self._program.wait(10)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    if PROGRAM is None:
        pytest.skip("Debian's etcd-server is not installed")
    found = Etcd(tmp_path_factory.mktemp("etcd") / "data")
    yield found
    found.stop()


@pytest.fixture
async def filled(etcd: Etcd) -> AsyncIterator[Etcd]:
    await etcd.until_ready()
    for key, value in MESSAGES.items():
        await etcd.put(key, value)
    yield etcd


async def asked(serve: Any, etcd: Etcd, name: str, kind: str, options: str = "") -> dns.message.Message:
    elsewhere = 'template IN A elsewhere.test {\nanswer "{{ .Name }} 9 IN A 192.0.2.9"\n}\n'
    plugin = f"etcd {ZONES} {{\nendpoint {etcd.url}\n{options}\n}}\n"
    server = await serve(". {\nerrors\n" + elsewhere + plugin + "}")
    found: dns.message.Message = await server.ask(dns.message.make_query(name, kind), protocol="tcp")
    return found


def texts(section: list[Any]) -> list[str]:
    return sorted(f"{rrset.name} {rrset.ttl} {rdata.rdtype.name} {rdata}" for rrset in section for rdata in rrset)


@pytest.mark.parametrize(
    ("name", "kind", "answer"),
    [
        (
            "web.prod.skydns.local.",
            "A",
            ["web.prod.skydns.local. 60 A 10.0.0.1", "web.prod.skydns.local. 60 A 10.0.0.2"],
        ),
        ("1.web.prod.skydns.local.", "A", ["1.web.prod.skydns.local. 60 A 10.0.0.1"]),
        ("web.prod.skydns.local.", "AAAA", ["web.prod.skydns.local. 60 AAAA 2001:db8::1"]),
        ("*.prod.skydns.local.", "AAAA", ["*.prod.skydns.local. 60 AAAA 2001:db8::1"]),
        ("db.any.skydns.local.", "A", ["db.any.skydns.local. 300 A 10.0.0.9"]),
        (
            "alias.skydns.local.",
            "AAAA",
            ["alias.skydns.local. 20 CNAME web.prod.skydns.local.", "web.prod.skydns.local. 60 AAAA 2001:db8::1"],
        ),
        ("alias.skydns.local.", "CNAME", ["alias.skydns.local. 20 CNAME web.prod.skydns.local."]),
        (
            "outside.skydns.local.",
            "A",
            ["elsewhere.test. 9 A 192.0.2.9", "outside.skydns.local. 300 CNAME elsewhere.test."],
        ),
        ("text.skydns.local.", "TXT", [f'text.skydns.local. 300 TXT "says {"x" * 250}" "{"x" * 50}"']),
        (
            "web.prod.skydns.local.",
            "SRV",
            [
                "web.prod.skydns.local. 60 SRV 10 25 80 1.web.prod.skydns.local.",
                "web.prod.skydns.local. 60 SRV 10 75 80 2.web.prod.skydns.local.",
                "web.prod.skydns.local. 60 SRV 20 100 80 6.web.prod.skydns.local.",
            ],
        ),
        ("db.prod.skydns.local.", "SRV", ["db.prod.skydns.local. 300 SRV 10 100 5432 prod.skydns.local."]),
        (
            "mail.skydns.local.",
            "MX",
            ["mail.skydns.local. 300 MX 10 mx.prod.skydns.local.", "mail.skydns.local. 300 MX 5 a.mail.skydns.local."],
        ),
        (
            "grouped.skydns.local.",
            "A",
            ["grouped.skydns.local. 300 A 10.1.0.1", "grouped.skydns.local. 300 A 10.1.0.3"],
        ),
        ("skydns.local.", "A", ["skydns.local. 30 A 10.0.0.100"]),
        (
            "skydns.local.",
            "NS",
            ["skydns.local. 300 NS a.ns.dns.skydns.local.", "skydns.local. 300 NS b.ns.dns.skydns.local."],
        ),
        ("1.0.0.10.in-addr.arpa.", "PTR", ["1.0.0.10.in-addr.arpa. 300 PTR web.prod.skydns.local."]),
        ("plain.", "A", ["plain. 300 A 10.2.0.1", "plain. 300 A 10.2.0.2"]),
    ],
)
async def test_names_are_what_keys_say(name: str, kind: str, answer: list[str], filled: Etcd, serve: Any) -> None:
    found = await asked(serve, filled, name, kind)
    assert (found.rcode(), texts(found.answer)) == (dns.rcode.NOERROR, answer)


@pytest.mark.parametrize(
    ("name", "kind", "rcode"),
    [
        ("no.skydns.local.", "A", "NXDOMAIN"),
        ("web.prod.skydns.local.", "TXT", "NOERROR"),
        ("web.prod.skydns.local.", "NAPTR", "NOERROR"),
        ("loop1.skydns.local.", "A", "NOERROR"),
        ("self.skydns.local.", "A", "NOERROR"),
        ("bad.skydns.local.", "A", "SERVFAIL"),
    ],
)
async def test_denials_carry_the_soa(name: str, kind: str, rcode: str, filled: Etcd, serve: Any) -> None:
    found = await asked(serve, filled, name, kind)
    assert dns.rcode.to_text(found.rcode()) == rcode and not found.answer
    assert [rrset.rdtype.name for rrset in found.authority] == ["SOA"]


async def test_targets_have_their_addresses_beside(filled: Etcd, serve: Any) -> None:
    assert texts((await asked(serve, filled, "mail.skydns.local.", "MX")).additional) == [
        "a.mail.skydns.local. 300 A 10.0.0.25",
        "mx.prod.skydns.local. 300 A 10.0.0.26",
    ]
    assert texts((await asked(serve, filled, "outside.skydns.local.", "SRV")).additional) == [
        "elsewhere.test. 9 A 192.0.2.9"
    ]


async def test_what_is_written_is_seen_at_once_and_a_lease_bounds_its_ttl(filled: Etcd, serve: Any) -> None:
    assert (await asked(serve, filled, "new.skydns.local.", "A")).rcode() == dns.rcode.NXDOMAIN
    lease = (await filled.post("/v3/lease/grant", TTL="45"))["ID"]
    await filled.put("local/skydns/new", {"host": "10.9.9.9"}, lease=int(lease))
    assert 30 <= (await asked(serve, filled, "new.skydns.local.", "A")).answer[0].ttl <= 45
    assert (await asked(serve, filled, "new.skydns.local.", "A", "max-lease-ttl 31")).answer[0].ttl in (30, 31)
    await filled.post("/v3/lease/revoke", ID=lease)
    assert (await asked(serve, filled, "new.skydns.local.", "A")).rcode() == dns.rcode.NXDOMAIN


async def test_options_of_denials(filled: Etcd, serve: Any) -> None:
    passed = await asked(serve, filled, "no.skydns.local.", "A", "fallthrough")
    assert passed.rcode() == dns.rcode.SERVFAIL  # no next plugin
    assert (await asked(serve, filled, "plain.", "A", "no_apex_fallback")).rcode() == dns.rcode.NXDOMAIN


async def test_the_next_server_is_asked_when_one_is_away(filled: Etcd, serve: Any) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    server = await serve(f"skydns.local {{\nerrors\netcd {{\nendpoint {away} {filled.url}\n}}\n}}")
    found = await server.ask(dns.message.make_query("db.prod.skydns.local.", "A"))
    assert texts(found.answer) == ["db.prod.skydns.local. 300 A 10.0.0.9"]
    alone = await serve(f"skydns.local {{\nerrors\netcd {{\nendpoint {away}\n}}\n}}")
    found = await alone.ask(dns.message.make_query("db.prod.skydns.local.", "A"))
    assert found.rcode() == dns.rcode.SERVFAIL
    assert f"plugin/etcd: {away}" in alone.log[-1]


async def test_a_user_logs_in(filled: Etcd, serve: Any) -> None:
    await filled.post("/v3/auth/user/add", name="root", password="secret")
    await filled.post("/v3/auth/role/add", name="root")
    await filled.post("/v3/auth/user/grant", user="root", role="root")
    await filled.post("/v3/auth/enable")
    try:
        found = await asked(serve, filled, "db.prod.skydns.local.", "A", "credentials root secret")
        assert texts(found.answer) == ["db.prod.skydns.local. 300 A 10.0.0.9"]
        found = await asked(serve, filled, "db.prod.skydns.local.", "A", "credentials root wrong")
        assert found.rcode() == dns.rcode.SERVFAIL
    finally:
        token = (await filled.post("/v3/auth/authenticate", name="root", password="secret"))["token"]
        await filled.post("/v3/auth/disable", token=token)


def test_keys_are_names_turned_round_up_to_a_wildcard() -> None:
    assert key_of(dns.name.from_text("Web.prod.skydns.local."), "skydns") == ("/skydns/local/skydns/prod/web", False)
    assert key_of(dns.name.from_text("web.*.skydns.local."), "a/b") == ("/a/b/local/skydns", True)


def test_the_shorter_of_ttl_and_lease_counts_within_bounds() -> None:
    bounds = (30, 3600)
    cases = [(0, None, 300), (60, None, 60), (60, 10, 30), (0, 5000, 3600), (20, 100, 20), (60, -1, 60)]
    assert [select_ttl(Value(ttl=ttl), lease, bounds) for ttl, lease, _ in cases] == [wanted for *_, wanted in cases]


def test_groups_that_disagree_at_the_same_depth_are_none() -> None:
    both = [Message(f"/skydns/a/{group}", Value(host="10.0.0.1", group=group), 300) for group in ("x", "y")]
    assert select_group(both) == both
    assert select_group([]) == []


async def test_as_coredns_targets_have_ipv4_addresses_beside_alone(filled: Etcd, serve: Any, host: Any) -> None:
    beside = [*(await asked(serve, filled, "alias.skydns.local.", "SRV")).additional]
    assert {rrset.rdtype.name for rrset in beside} == {"A", "AAAA"}
    host.as_coredns = True
    beside = [*(await asked(serve, filled, "alias.skydns.local.", "SRV")).additional]
    assert {rrset.rdtype.name for rrset in beside} == {"A"}
