"""Plugins errors, log, health, ready, prometheus, loadbalance, loop, whoami: each alone in a chain."""

from __future__ import annotations

from collections import Counter
from typing import Any

import dns.message
import dns.rcode
import pytest

from seamark.testing.clock import settle
from seamark.testing.dnscase import DnsCase

HOSTS = "hosts /nonexistent {\n10.0.0.1 a.test\n10.0.0.2 a.test\n10.0.0.3 a.test\n192.168.1.1 a.test\n}\n"
FALLING = HOSTS.replace("}", "fallthrough\n}")


async def test_errors_are_one_line_each(serve: Any) -> None:
    server = await serve(". {\nerrors\n" + FALLING + "}")
    server.log.clear()
    await server.ask(dns.message.make_query("no.test.", "AAAA"))
    assert server.log == ["[ERROR] plugin/errors: 2 no.test. AAAA: plugin/hosts: no next plugin found"]


async def test_what_the_corefile_asks_for_is_no_error(serve: Any) -> None:
    server = await serve(". {\nerrors\n" + HOSTS + "}")
    server.log.clear()
    assert (await server.ask(dns.message.make_query("no.test.", "A"))).rcode() == dns.rcode.SERVFAIL
    assert server.log == []


async def test_errors_of_a_kind_are_counted(serve: Any) -> None:
    server = await serve('. {\nerrors {\nconsolidate 90s "no next" warning show_first\n}\n' + FALLING + "}")
    server.log.clear()
    for _ in range(4):
        await server.ask(dns.message.make_query("no.test.", "A"))
    assert len(server.log) == 1 and server.log[0].startswith("[WARNING] plugin/errors: 2 no.test. A: ")
    await settle()
    await server.clock.advance(90)
    assert server.log[1:] == ["[WARNING] plugin/errors: 3 errors like 'no next' occurred in last 1m30s"]


async def test_a_plugin_that_breaks_costs_one_query(serve: Any, host: Any) -> None:
    server = await serve(". {\nerrors\n" + HOSTS + "}")

    async def broken(*args: object) -> None:
        raise ZeroDivisionError("oops")

    server.plugin("hosts")._forward_lookup = broken
    assert (await server.ask(dns.message.make_query("a.test.", "A"))).rcode() == dns.rcode.SERVFAIL
    assert server.log[-1] == "[ERROR] plugin/errors: 2 a.test. A: plugin/errors: ZeroDivisionError: oops"
    assert "coredns_panics_total 1.0" in host.metrics.text().decode()


@pytest.mark.parametrize(
    ("arguments", "name", "line"),
    [
        (
            "",
            "a.test.",
            '[INFO] 192.0.2.7:40212 - {id} "A IN a.test. udp 24 false 512" NOERROR qr,aa,rd 112 0s',
        ),
        ("", "no.test.", '[INFO] 192.0.2.7:40212 - {id} "A IN no.test. udp 25 false 512" SERVFAIL qr,rd 25 0s'),
        (' . "{name} {rcode}"', "a.test.", "[INFO] a.test. NOERROR"),
        (' . "{name} {nosuch} {/no/label} {>bufsize}"', "A.Test.", "[INFO] a.test. {{nosuch}} - 512"),
        (" other.test", "a.test.", None),
        (" a.test {\nclass error\n}\nlog . {name}", "a.test.", None),
        (" b.test {\nclass error\n}\nlog . {name}", "a.test.", "[INFO] a.test."),
        (" . {\nclass success\n}", "a.test. MX", "qr,aa,rd 24"),
        (" . {\nclass denial\n}", "a.test. MX", None),
        (" . {\nclass error\n}", "a.test.", None),
        (" . {\nclass success\n}", "no.test.", None),
    ],
)
async def test_log_lines(arguments: str, name: str, line: str | None, serve: Any) -> None:
    server = await serve(". {\nlog" + arguments + "\n" + HOSTS + "}")
    server.log.clear()
    name, _, rdtype = name.partition(" ")
    query = dns.message.make_query(name, rdtype or "A")
    await server.ask(query)
    assert len(server.log) == (line is not None)
    assert not line or line.format(id=query.id) in server.log[0]


async def test_log_shows_clients_in_brackets_where_they_have_colons(serve: Any) -> None:
    server = await serve(". {\nlog . {remote}:{port}\n" + HOSTS + "}")
    await server.ask(dns.message.make_query("a.test.", "A"), client="2001:db8::7")
    assert server.log[-1] == "[INFO] [2001:db8::7]:40212"


async def test_whoami(serve: Any) -> None:
    server = await serve(". {\nwhoami\n}")
    for protocol in ("udp", "tcp"):
        case = DnsCase("x.test.", additional=f"x.test. 0 IN A 192.0.2.7\n_{protocol}.x.test. 0 IN SRV 0 0 40212 .")
        assert case.differences(await server.ask(case.query(), protocol=protocol)) == []


async def test_loadbalance_shuffles_fairly_and_loses_nothing(serve: Any) -> None:
    server = await serve(". {\nloadbalance\n" + HOSTS + "}")
    first: Counter[str] = Counter()
    for _ in range(400):
        found = await server.ask(dns.message.make_query("a.test.", "A"))
        addresses = [rdata.address for rdata in found.answer[0]]
        assert len(set(addresses)) == 4
        first[addresses[0]] += 1
    assert all(60 <= count <= 140 for count in first.values())


async def test_loadbalance_prefers_networks(serve: Any) -> None:
    server = await serve(". {\nloadbalance {\nprefer 192.168.0.0/16 10.0.0.2/32\n}\n" + HOSTS + "}")
    for _ in range(20):
        found = await server.ask(dns.message.make_query("a.test.", "A"))
        assert [rdata.address for rdata in found.answer[0]][:2] == ["192.168.1.1", "10.0.0.2"]


async def test_health_and_ready(serve: Any, fake_api: Any) -> None:
    fake_api.available = False
    server = await serve(". {\nhealth :1\nready :2\nkubernetes a.b\n}")
    http = server.instance.http()
    assert http[":1", "/health"]() == (200, "text/plain; charset=utf-8", b"OK")
    assert http[":2", "/ready"]()[::2] == (503, b"kubernetes")
    fake_api.available = True
    await server.clock.advance(60)
    assert http[":2", "/ready"]()[::2] == (200, b"OK")


async def test_prometheus_counts_under_coredns_names(serve: Any, host: Any) -> None:
    server = await serve("test.:53 {\nprometheus :9153\n" + HOSTS + "}")
    await server.ask(dns.message.make_query("a.test.", "A", want_dnssec=True))
    await server.ask(dns.message.make_query("a.test.", "TYPE65280"), protocol="tcp", client="::1")
    await server.ask(dns.message.make_query("elsewhere.", "A"))
    status, kind, body = server.instance.http()[":9153", "/metrics"]()
    assert (status, kind.partition(";")[0]) == (200, "text/plain")
    text = body.decode()
    label = 'server="dns://:53",'
    for line in (
        f'coredns_dns_requests_total{{family="1",proto="udp",{label}type="A",view="",zone="test."}} 1.0',
        f'coredns_dns_requests_total{{family="2",proto="tcp",{label}type="other",view="",zone="test."}} 1.0',
        f'coredns_dns_requests_total{{family="1",proto="udp",{label}type="A",view="",zone="dropped"}} 1.0',
        f'coredns_dns_do_requests_total{{{label}view="",zone="test."}} 1.0',
        f'coredns_dns_responses_total{{plugin="hosts",rcode="NOERROR",{label}view="",zone="test."}} 2.0',
        f'coredns_dns_responses_total{{plugin="",rcode="REFUSED",{label}view="",zone="dropped"}} 1.0',
        f'coredns_plugin_enabled{{name="hosts",{label}view="",zone="test."}} 1.0',
    ):
        assert line in text


async def test_loop_ends_the_process_when_its_probe_comes_back(serve: Any) -> None:
    server = await serve(". {\nloop exit\nwhoami\n}")
    probe = dns.message.make_query(server.plugin("loop").probe, "HINFO")
    await server.ask(probe)
    await server.ask(probe)
    assert server.log == []
    await server.ask(probe)
    assert server.log[0].startswith("[FATAL] plugin/loop: Loop (192.0.2.7:40212 -> dns://:53) detected")


async def test_loop_looks_no_more_after_its_own_probe_was_answered(serve: Any) -> None:
    server = await serve(". {\nloop\nwhoami\n}")
    server.plugin("loop").serving()
    await settle()
    await server.clock.advance(3)
    for _ in range(5):
        await server.ask(dns.message.make_query(server.plugin("loop").probe, "HINFO"))
    assert server.log == []
