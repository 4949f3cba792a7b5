"""Plugins that serve zones beside kubernetes, or more of them: file, transfer, autopath, k8s_external."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rrset
import pytest

from seamark.dns.corefile.lexer import CorefileError
from seamark.dns.listener import Listener, Source
from seamark.testing.clock import settle
from seamark.testing.dnscase import DnsCase, render_records

ZONE = """
$TTL 300
@       IN SOA ns.example.org. root.example.org. 7 3600 600 86400 60
@       IN NS  ns
ns      IN A   192.0.2.1
Web     IN A   192.0.2.2
alias   IN CNAME web
lost    IN CNAME nosuch
away    IN CNAME a.other.test.
mail    IN MX  10 web
deep.in.here IN TXT "x"
*.wild  IN A   192.0.2.3
host.wild IN TXT "y"
sub     IN NS  ns.sub
ns.sub  IN A   192.0.2.4
sub     IN DS  1 8 2 0000000000000000000000000000000000000000000000000000000000000000
old     IN DNAME new.example.org.
x.new   IN A   192.0.2.5
"""
SOA = "example.org. 300 IN SOA ns.example.org. root.example.org. 7 3600 600 86400 60"
NS = "example.org. 300 IN NS ns.example.org."
E = "example.org."
GLUE = f"ns.{E} 300 IN A 192.0.2.1"


@pytest.fixture
def corefile(tmp_path: Path) -> str:
    (tmp_path / "db").write_text(ZONE)
    hosts = "hosts /nonexistent {\n192.0.2.9 a.other.test\nfallthrough\n}\n"
    return f". {{\nroot {tmp_path}\nfile db example.org {{\nreload 5s\n}}\n{hosts}transfer {{\nto 192.0.2.7\n}}\n}}\n"


@pytest.mark.parametrize(
    "case",
    [
        DnsCase(E, "SOA", answer=SOA, authority=NS),
        DnsCase(E, "NS", answer=NS, additional=GLUE),
        DnsCase(f"wEb.{E}", answer=f"web.{E} 300 IN A 192.0.2.2", authority=NS),
        DnsCase(f"web.{E}", "AAAA", authority=SOA),
        DnsCase(f"web.{E}", "ANY", authority=SOA),
        DnsCase(f"no.{E}", rcode="NXDOMAIN", authority=SOA),
        DnsCase(f"in.here.{E}", authority=SOA),
        DnsCase(f"alias.{E}", answer=f"alias.{E} 300 IN CNAME web.{E}\nweb.{E} 300 IN A 192.0.2.2", authority=NS),
        DnsCase(f"alias.{E}", "CNAME", answer=f"alias.{E} 300 IN CNAME web.{E}", authority=NS),
        DnsCase(f"lost.{E}", rcode="NXDOMAIN", answer=f"lost.{E} 300 IN CNAME nosuch.{E}", authority=SOA),
        DnsCase(
            f"away.{E}",
            answer=f"away.{E} 300 IN CNAME a.other.test.\na.other.test. 3600 IN A 192.0.2.9",
            authority=NS,
        ),
        DnsCase(
            f"mail.{E}",
            "MX",
            answer=f"mail.{E} 300 IN MX 10 web.{E}",
            authority=NS,
            additional=f"web.{E} 300 IN A 192.0.2.2",
        ),
        DnsCase(f"a.b.wild.{E}", answer=f"a.b.wild.{E} 300 IN A 192.0.2.3", authority=NS),
        DnsCase(f"a.wild.{E}", "TXT", authority=SOA),
        DnsCase(f"a.host.wild.{E}", rcode="NXDOMAIN", authority=SOA),
        DnsCase(
            f"x.sub.{E}",
            authority=f"sub.{E} 300 IN NS ns.sub.{E}",
            additional=f"ns.sub.{E} 300 IN A 192.0.2.4",
            aa=False,
        ),
        DnsCase(
            f"x.old.{E}",
            answer=f"old.{E} 300 IN DNAME new.{E}\nx.old.{E} 300 IN CNAME x.new.{E}\nx.new.{E} 300 IN A 192.0.2.5",
            authority=NS,
        ),
        DnsCase("elsewhere.test.", rcode="SERVFAIL", aa=False),
    ],
    ids=str,
)
async def test_names_of_a_zone_file(case: DnsCase, corefile: str, serve: Any) -> None:
    server = await serve(corefile)
    assert case.differences(await server.ask(case.query())) == []


async def test_ds_is_the_parents(corefile: str, serve: Any) -> None:
    found = await (await serve(corefile)).ask(dns.message.make_query(f"sub.{E}", "DS"))
    assert found.answer and found.flags & 0x0400


async def test_a_zone_file_is_read_anew_when_its_serial_moves(corefile: str, serve: Any, tmp_path: Path) -> None:
    server = await serve(corefile)
    question = dns.message.make_query(f"fresh.{E}", "A")
    (tmp_path / "db").write_text(ZONE + "fresh IN A 192.0.2.8\n")
    await settle()
    await server.clock.advance(5)
    assert not (await server.ask(question)).answer
    (tmp_path / "db").write_text(ZONE.replace(" 7 ", " 8 ") + "fresh IN A 192.0.2.8\n\n")
    await server.clock.advance(5)
    assert (await server.ask(question)).answer[0][0].to_text() == "192.0.2.8"
    (tmp_path / "db").write_text("nonsense")
    await server.clock.advance(5)
    assert (await server.ask(question)).answer
    assert '[ERROR] plugin/file: Parsing zone "example.org.": ' in server.log[-1]


@pytest.mark.parametrize("text", ["", "nonsense", "@ IN A 1.2.3.4\n", ZONE + "@ IN NSEC3PARAM 1 0 0 -\n"])
async def test_a_broken_zone_file_is_told_at_its_word(text: str, serve: Any, tmp_path: Path) -> None:
    (tmp_path / "db").write_text(text)
    with pytest.raises(CorefileError, match="is not a zone file of") as caught:
        await serve(f"example.org {{\nroot {tmp_path}\nfile db\n}}\n")
    assert caught.value.word == "db"


async def test_a_newer_file_counts_whatever_its_serial(serve: Any, tmp_path: Path, log: list[str]) -> None:
    path = tmp_path / "db"
    path.write_text(ZONE)
    options = "reload 5s\nreload_by_mtime"
    server = await serve(f"example.org {{\nroot {tmp_path}\nfile db {{\n{options}\n}}\n}}\n")
    path.write_text(ZONE + "fresh IN A 192.0.2.8\n")
    os.utime(path, ns=(1, 1))  # another time, as far as clocks go
    await server.clock.advance(5)
    assert (await server.ask(dns.message.make_query(f"fresh.{E}", "A"))).answer
    assert f'[INFO] plugin/file: Successfully reloaded zone "{E}" in "{path}" with 7 SOA serial' in log


async def test_a_file_that_is_not_there_yet_is_taken_when_it_is(serve: Any, tmp_path: Path, log: list[str]) -> None:
    question = dns.message.make_query(f"web.{E}", "A")
    server = await serve(f"example.org {{\nroot {tmp_path}\nfile db {{\nreload 5s\n}}\nwhoami\n}}\n")
    assert (await server.ask(question)).rcode() == dns.rcode.SERVFAIL
    assert any(line.startswith('[WARNING] plugin/file: Failed to open "') and line.endswith("in 5s") for line in log)
    await server.clock.advance(5)
    assert any(line.startswith(f'[ERROR] plugin/file: Failed to open zone "{E}" in "') for line in log)
    (tmp_path / "db").write_text(ZONE)
    await server.clock.advance(5)
    assert (await server.ask(question)).answer
    with pytest.raises(CorefileError, match="No such file"):
        await serve(f"example.org {{\nroot {tmp_path}\nfile none {{\nreload 0\n}}\n}}\n")


async def test_what_falls_through(serve: Any, tmp_path: Path) -> None:
    """Names without records, too, where only names below have some (as CoreDNS); not types."""
    (tmp_path / "db").write_text(ZONE + "a.between IN A 192.0.2.1\nhere IN A 192.0.2.2\n")
    server = await serve(f"example.org {{\nroot {tmp_path}\nfile db {{\nfallthrough\n}}\nwhoami\n}}\n")
    for name, falls in (("between", True), ("here", False), ("nobody", True)):
        found = await server.ask(dns.message.make_query(f"{name}.{E}", "AAAA"))
        assert bool(found.additional) is falls, name  # as whoami answers


async def test_services_bring_addresses_and_wildcards_are_metadata(serve: Any, tmp_path: Path, log: list[str]) -> None:
    records = "web IN HTTPS 1 here\nhere IN A 192.0.2.2\n*.wild IN A 192.0.2.3\n"
    (tmp_path / "db").write_text(ZONE + records)
    words = 'metadata\nlog . "from {/zone/wildcard}"\n'
    server = await serve(f"example.org {{\nroot {tmp_path}\n{words}file db\n}}\n")
    found = await server.ask(dns.message.make_query(f"web.{E}", "HTTPS"))
    assert [rrset.to_text() for rrset in found.additional] == [f"here.{E} 300 IN A 192.0.2.2"]
    await server.ask(dns.message.make_query(f"x.wild.{E}", "A"))
    assert [line for line in log if "from" in line] == ["[INFO] from -", f"[INFO] from *.wild.{E}"]


async def test_nobody_tells_a_primary(corefile: str, serve: Any) -> None:
    server = await serve(corefile)
    message = dns.message.make_query(E, "SOA", flags=dns.flags.AA)
    message.set_opcode(dns.opcode.NOTIFY)
    with pytest.raises(AssertionError):
        await server.ask(message)  # no reply
    assert f"[INFO] plugin/file: Dropping notify from 192.0.2.7 for {E}" in server.log


async def transfer(server: Any, query: dns.message.Message, client: str = "192.0.2.7") -> list[dns.message.Message]:
    found = await server.core.answer(Listener(53), query.to_wire(), Source(client, 9), "tcp")
    return [
        dns.message.from_wire(wire, one_rr_per_rrset=True) for wire in (found if isinstance(found, list) else [found])
    ]


async def test_transfers_of_a_file(corefile: str, serve: Any) -> None:
    server = await serve(corefile)
    (whole,) = await transfer(server, dns.message.make_query(E, "AXFR"))
    assert len(whole.answer) == 17
    assert [whole.answer[at].rdtype.name for at in (0, -1)] == ["SOA", "SOA"]
    serial = dns.rrset.from_text(E, 0, "IN", "SOA", "a. b. 7 0 0 0 0")
    same = dns.message.make_query(E, "IXFR")
    same.authority = [serial]
    (short,) = await transfer(server, same)
    assert len(short.answer) == 1 and len(short.answer[0]) == 1
    (denied,) = await transfer(server, dns.message.make_query(E, "AXFR"), client="192.0.2.66")
    assert denied.rcode() == dns.rcode.REFUSED
    over_udp = await server.ask(dns.message.make_query(E, "AXFR"))
    assert over_udp.rcode() == dns.rcode.REFUSED


def service(name: str, **spec: Any) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
    status = spec.pop("status", {})
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"ports": ports, **spec}, "status": status}


@pytest.fixture
def registry(fake_api: Any) -> Any:
    fake_api.put("namespaces", {"metadata": {"name": "default"}})
    fake_api.put(
        "services", service("web", clusterIP="10.96.0.5", clusterIPs=["10.96.0.5"], externalIPs=["192.0.2.80"])
    )
    fake_api.put("services", service("heads", clusterIP="None", clusterIPs=["None"]))
    balanced = {"loadBalancer": {"ingress": [{"hostname": "lb.other.test"}]}}
    fake_api.put("services", service("lb", clusterIP="10.96.0.6", clusterIPs=["10.96.0.6"], status=balanced))
    labels = {"kubernetes.io/service-name": "heads"}
    fake_api.put(
        "endpointslices",
        {
            "metadata": {"name": "heads-1", "namespace": "default", "labels": labels},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.244.1.5"], "hostname": "db-0"}, {"addresses": ["10.244.1.6"]}],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        },
    )
    fake_api.put(
        "endpointslices",
        {
            "metadata": {"name": "heads-2", "namespace": "default", "labels": labels},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.244.1.7"]}],
        },
    )
    pod = {"metadata": {"name": "client", "namespace": "default"}, "status": {"phase": "Running", "podIP": "192.0.2.7"}}
    pod["status"]["podIPs"] = [{"ip": "192.0.2.7"}]
    fake_api.put("pods", pod)
    return fake_api


async def test_transfers_of_a_cluster_zone(registry: Any, serve: Any) -> None:
    server = await serve(". {\nkubernetes cluster.local {\nttl 30\n}\ntransfer {\nto *\n}\n}\n")
    (whole,) = await transfer(server, dns.message.make_query("cluster.local.", "AXFR"))
    records = render_records(whole.answer)
    web, heads = "web.default.svc.cluster.local.", "heads.default.svc.cluster.local."
    assert {
        f"{web} 30 IN A 10.96.0.5",
        f"{web} 30 IN SRV 0 100 80 {web}",
        f"_http._tcp.{web} 30 IN SRV 0 100 80 {web}",
        f"{heads} 30 IN A 10.244.1.5",
        f"db-0.{heads} 30 IN A 10.244.1.5",
        f"_http._tcp.{heads} 30 IN SRV 0 50 8080 10-244-1-6.{heads}",
    } <= records
    assert not any("PTR" in record or "TXT" in record for record in records)


async def test_a_transfer_of_many_records_comes_in_messages_that_fit(registry: Any, serve: Any) -> None:
    for number in range(700):
        registry.put("services", service(f"s{number}", clusterIP=f"10.97.{number // 250}.{number % 250 + 1}"))
    server = await serve(". {\nkubernetes cluster.local\ntransfer {\nto *\n}\n}\n")
    messages = await transfer(server, dns.message.make_query("cluster.local.", "AXFR"))
    assert len(messages) > 1 and all(len(message.to_wire()) < 65536 for message in messages)
    assert sum(len(rrset) for message in messages for rrset in message.answer) > 2100


X = "web.default.ext.test."
EXTERNAL_SOA = "ext.test. 5 IN SOA ns1.dns.ext.test. hostmaster.dns.ext.test. 1 7200 1800 86400 5"


@pytest.mark.parametrize(
    "case",
    [
        DnsCase(X, answer=f"{X} 5 IN A 192.0.2.80"),
        DnsCase(
            f"_http._tcp.{X}",
            "SRV",
            answer=f"_http._tcp.{X} 5 IN SRV 0 100 80 {X}",
            additional=f"{X} 5 IN A 192.0.2.80",
        ),
        DnsCase(X, "AAAA", authority=EXTERNAL_SOA),
        DnsCase(X, "CNAME", authority=EXTERNAL_SOA),
        DnsCase("no.default.ext.test.", rcode="NXDOMAIN", authority=EXTERNAL_SOA),
        DnsCase("default.ext.test.", authority=EXTERNAL_SOA),
        DnsCase(
            "ext.test.",
            "NS",
            answer="ext.test. 5 IN NS ns1.dns.ext.test.",
            additional="ns1.dns.ext.test. 5 IN A 10.244.9.9",
        ),
        DnsCase("ns1.dns.ext.test.", answer="ns1.dns.ext.test. 5 IN A 10.244.9.9"),
        DnsCase("ns1.dns.ext.test.", "AAAA", authority=EXTERNAL_SOA),
        DnsCase("ext.test.", "SOA", answer=EXTERNAL_SOA),
        DnsCase("dns.ext.test.", authority=EXTERNAL_SOA),
        DnsCase("x.dns.ext.test.", rcode="NXDOMAIN", authority=EXTERNAL_SOA),
        DnsCase(
            "heads.default.ext.test.",
            "SRV",
            answer="heads.default.ext.test. 5 IN SRV 0 33 8080 db-0.heads.default.ext.test.\n"
            "heads.default.ext.test. 5 IN SRV 0 33 8080 10-244-1-6.heads.default.ext.test.",
            additional="db-0.heads.default.ext.test. 5 IN A 10.244.1.5\n"
            "10-244-1-6.heads.default.ext.test. 5 IN A 10.244.1.6",
        ),
        DnsCase("db-0.heads.default.ext.test.", answer="db-0.heads.default.ext.test. 5 IN A 10.244.1.5"),
        DnsCase(
            "lb.default.ext.test.",
            answer="lb.default.ext.test. 5 IN CNAME lb.other.test.\nlb.other.test. 3600 IN A 192.0.2.99",
        ),
    ],
    ids=str,
)
async def test_external_names(case: DnsCase, registry: Any, serve: Any) -> None:
    hosts = "hosts /nonexistent {\n192.0.2.99 lb.other.test\nfallthrough\n}\n"
    server = await serve(". {\nkubernetes cluster.local\nk8s_external ext.test {\nheadless\n}\n" + hosts + "}\n")
    assert case.differences(await server.ask(case.query())) == []


WEB = "web.default.svc.cluster.local."
SEARCHED = "out.other.test.default.svc.cluster.local."


async def test_autopath_searches_for_pods(registry: Any, serve: Any, host: Any, tmp_path: Path) -> None:
    hosts = "hosts /nonexistent {\n192.0.2.99 out.other.test\nfallthrough\n}\n"
    server = await serve(
        ". {\nautopath @kubernetes\nkubernetes cluster.local {\npods verified\nttl 30\n}\n" + hosts + "}\n"
    )
    case = DnsCase(
        SEARCHED,
        answer=f"{SEARCHED} 3600 IN CNAME out.other.test.\nout.other.test. 3600 IN A 192.0.2.99",
    )
    assert case.differences(await server.ask(case.query())) == []
    assert 'coredns_autopath_success_total{server="dns://:53"} 1.0' in host.metrics.text().decode()
    direct = DnsCase(WEB, answer=f"{WEB} 30 IN A 10.96.0.5")
    assert direct.differences(await server.ask(direct.query())) == []
    stranger = await server.ask(case.query(), client="192.0.2.8")
    assert stranger.rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (". {\nautopath @kubernetes\n}\n", "no kubernetes"),
        (". {\nautopath @kubernetes\nkubernetes a\n}\n", "pods verified"),
        (". {\nautopath /nonexistent\n}\n", "cannot read"),
        (". {\nk8s_external a\n}\n", "not in this block"),
    ],
)
async def test_what_they_stand_on_has_to_be_there(text: str, message: str, serve: Any) -> None:
    with pytest.raises(CorefileError, match=message):
        await serve(text)
