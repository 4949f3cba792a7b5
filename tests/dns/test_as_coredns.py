"""``-as-coredns``: what Seamark does otherwise on purpose, done as CoreDNS does."""

from __future__ import annotations

from typing import Any

import dns.message
import pytest

COREFILE = """. {
    rewrite name a.rw.test a.hosts.test
    hosts /nonexistent {
        192.0.2.1 a.hosts.test
        fallthrough
    }
    kubernetes cluster.local
}
"""


async def told(serve: Any, host: Any, name: str, qtype: str, *, as_coredns: bool) -> dns.message.Message:
    host.as_coredns = as_coredns
    server = await serve(COREFILE)
    found: dns.message.Message = await server.ask(dns.message.make_query(name, qtype, use_edns=0))
    return found


@pytest.mark.parametrize(
    ("name", "qtype", "ours", "theirs"),
    [
        ("A.Hosts.test.", "A", "A.Hosts.test.", "a.hosts.test."),
        ("A.Rw.test.", "A", "A.Rw.test.", "a.rw.test."),
        ("Cluster.Local.", "NS", "Cluster.Local.", ""),
        ("ns.dns.Cluster.local.", "A", "ns.dns.Cluster.local.", ""),
        ("cluster.local.", "NS", "cluster.local.", "cluster.local."),
    ],
)
async def test_spelling(name: str, qtype: str, ours: str, theirs: str, serve: Any, host: Any, fake_api: Any) -> None:
    for as_coredns, expected in ((False, ours), (True, theirs)):
        found = await told(serve, host, name, qtype, as_coredns=as_coredns)
        assert (found.answer[0].name.to_text() if found.answer else "") == expected
        assert found.question[0].name.to_text() == name


async def test_no_reasons(serve: Any, host: Any, fake_api: Any) -> None:
    for as_coredns, count in ((False, 1), (True, 0)):
        found = await told(serve, host, "no.default.svc.cluster.local.", "A", as_coredns=as_coredns)
        assert len(found.options) == count
