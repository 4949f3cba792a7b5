"""The core answers any packet or drops it, and never breaks."""

from __future__ import annotations

import asyncio
from typing import Any

import dns.message
import dns.name
import dns.rcode
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seamark.dns.listener import Listener, Source

COREFILE = """. {
    errors
    log
    prometheus
    cache
    loadbalance
    hosts /nonexistent {
        10.0.0.1 a.test *.w.test
        fallthrough
    }
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }
    whoami
}
"""
LABELS = st.lists(
    st.sampled_from(
        [
            b"a",
            b"test",
            b"w",
            b"cluster",
            b"local",
            b"svc",
            b"pod",
            b"default",
            b"_",
            b"_tcp",
            b"x.y",
            b"\\",
            b"\xff",
            b"arpa",
            b"in-addr",
            b"10-0-0-1",
            b"ns",
            b"dns",
        ]
    ),
    max_size=7,
)
PACKETS = st.one_of(
    st.binary(max_size=80),
    st.builds(lambda head, body: head + body, st.binary(min_size=12, max_size=12), st.binary(max_size=60)),
    st.builds(
        lambda labels, rdtype: dns.message.make_query(dns.name.Name((*labels, b"")), rdtype, use_edns=0).to_wire(),
        LABELS,
        st.integers(1, 300).filter(lambda t: t not in (41, 249, 250)),
    ),
)


@pytest.fixture
def anything(serve: Any, fake_api: Any) -> Any:
    fake_api.put("namespaces", {"metadata": {"name": "default"}})
    return serve


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(packets=st.lists(PACKETS, max_size=5), protocol=st.sampled_from(["udp", "tcp"]))
async def test_any_packet(anything: Any, packets: list[bytes], protocol: str) -> None:
    server = await anything(COREFILE)
    for packet in packets:
        found = await server.core.answer(Listener(53), packet, Source("2001:db8::1", 9), protocol)
        if found is not None:
            assert found[:2] == packet[:2]
            assert dns.message.from_wire(found).rcode() is not None
    assert not [line for line in server.log if "Recovered" in line or "Traceback" in line or "Error" in line]
    await server.instance.stop()


async def test_many_queries_at_once(serve: Any) -> None:
    server = await serve(COREFILE)
    query = dns.message.make_query("a.test.", "A")
    found = await asyncio.gather(*(server.ask(query) for _ in range(200)))
    assert all(reply.rcode() == dns.rcode.NOERROR and reply.answer for reply in found)
