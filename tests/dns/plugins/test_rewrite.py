"""Plugins rewrite and template: questions changed on their way, answers made of questions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dns.edns
import dns.message
import dns.rcode
import pytest

from seamark.testing.dnscase import DnsCase, render_records
from seamark.testing.dnsupstream import good

ZONE = """
    hosts /nonexistent {
        10.0.0.1 web.inner.test
        10.0.0.2 pre-web.inner.test
        10.0.0.3 a.one.inner.test
    }
"""


@pytest.mark.parametrize(
    ("rule", "case"),
    [
        ("name a.test web.inner.test", DnsCase("A.test.", answer="A.test. 3600 IN A 10.0.0.1")),
        (
            "name suffix .outer.test .inner.test",
            DnsCase("web.outer.test.", answer="web.outer.test. 3600 IN A 10.0.0.1"),
        ),
        ("name prefix x- pre-", DnsCase("x-web.inner.test.", answer="x-web.inner.test. 3600 IN A 10.0.0.2")),
        ("name substring out inn", DnsCase("web.outer.test.", answer="web.inner.test. 3600 IN A 10.0.0.1")),
        (
            "name regex ^(.*)-(.*)[.]test[.]$ {1}.{2}.inner.test answer auto",
            DnsCase("a-one.test.", answer="a-one.test. 3600 IN A 10.0.0.3"),
        ),
        (
            'name regex ^(.*)-(.*)[.]test[.]$ {1}.{2}.inner.test answer name "(.*)[.]inner[.]test[.]" {1}.back.test',
            DnsCase("a-one.test.", answer="a.one.back.test. 3600 IN A 10.0.0.3"),
        ),
        (
            "{\nname regex ^b[.]test[.]$ web.inner.test\nanswer auto\n}",
            DnsCase("b.test.", answer="b.test. 3600 IN A 10.0.0.1"),
        ),
        ("type AAAA A", DnsCase("web.inner.test.", "AAAA", answer="web.inner.test. 3600 IN A 10.0.0.1")),
        ("ttl web.inner.test 30", DnsCase("web.inner.test.", answer="web.inner.test. 30 IN A 10.0.0.1")),
        ("ttl suffix inner.test 7200-", DnsCase("web.inner.test.", answer="web.inner.test. 7200 IN A 10.0.0.1")),
        ("rcode suffix test SERVFAIL NXDOMAIN", DnsCase("no.test.", rcode="NXDOMAIN", aa=False)),
        (
            "continue name a.test b.test\nrewrite name b.test web.inner.test",
            DnsCase("a.test.", answer="a.test. 3600 IN A 10.0.0.1"),
        ),
        ("stop name a.test b.test\nrewrite name b.test web.inner.test", DnsCase("a.test.", rcode="SERVFAIL", aa=False)),
        ("name other.test web.inner.test", DnsCase("a.test.", rcode="SERVFAIL", aa=False)),
    ],
)
async def test_rules(rule: str, case: DnsCase, serve: Any) -> None:
    server = await serve(". {\nrewrite " + rule + "\n" + ZONE + "}\n")
    found = await server.ask(case.query())
    assert case.differences(found) == []
    assert found.question[0].name.to_text() == case.qname


async def test_names_inside_records_are_restored_too(serve: Any) -> None:
    template = 'template IN SRV inner.test {\nanswer "{{ .Name }} 60 IN SRV 0 0 80 host.inner.test."\n}\n'
    question = dns.message.make_query("s.outer.test.", "SRV")
    for options, target in (("", "host.inner.test."), (" answer auto", "host.outer.test.")):
        server = await serve(". {\nrewrite name suffix .outer.test. .inner.test." + options + "\n" + template + "}\n")
        found = await server.ask(question)
        assert render_records(found.answer) == {f"s.outer.test. 60 IN SRV 0 0 80 {target}"}


async def test_options_go_along(serve: Any) -> None:
    rules = "rewrite continue edns0 local set 0xffee {client_ip}\nrewrite edns0 local append 0xffef 0x6162\n"
    server = await serve(". {\n" + rules + ZONE + "}\n")
    seen = []

    async def spy(query: Any, following: Any) -> Any:
        seen.extend((int(o.otype), o.to_wire()) for o in query.message.options)
        return await serving(query, following)

    handler = server.plugin("hosts")
    serving, handler.serve = handler.serve, spy
    found = await server.ask(dns.message.make_query("web.inner.test.", "A"))
    assert seen == [(0xFFEE, b"192.0.2.7"), (0xFFEF, b"ab")]
    assert found.edns == -1


TEMPLATE = r"""
template IN A ip.test {
    match ^(?P<a>[0-9]+)-([0-9]+)[.]ip[.]test[.]$
    answer "{{ .Name }} 60 IN A 10.0.{{ .Group.a }}.{{ index .Match 2 }}"
    additional "x.test. 5 IN TXT {{ .Remote }}/{{ .Type }}"
    fallthrough a.ip.test
}
template ANY ANY deny.test {
    rcode NXDOMAIN
    authority "deny.test. 60 IN SOA ns.deny.test. root.deny.test. 1 2 3 4 {{ parseInt `3c` 16 8 }}"
    ederror 21 "not here"
}
template IN CNAME alias.test {
    answer "{{ .Name }} 30 IN CNAME 1-2.ip.test."
}
template IN A alias.test {
    answer "{{ .Name }} 30 IN CNAME 1-2.ip.test."
}
""".replace("{{ parseInt `3c` 16 8 }}", "60")


@pytest.mark.parametrize(
    "case",
    [
        DnsCase("3-4.Ip.test.", answer="3-4.ip.test. 60 IN A 10.0.3.4", additional='x.test. 5 IN TXT "192.0.2.7/A"'),
        DnsCase("x.ip.test.", rcode="SERVFAIL", aa=False),
        DnsCase("3-4.ip.test.", "AAAA", rcode="SERVFAIL", aa=False),
        DnsCase(
            "x.deny.test.",
            "MX",
            rcode="NXDOMAIN",
            authority="deny.test. 60 IN SOA ns.deny.test. root.deny.test. 1 2 3 4 60",
        ),
        DnsCase(
            "b.alias.test.",
            answer="b.alias.test. 30 IN CNAME 1-2.ip.test.\n1-2.ip.test. 60 IN A 10.0.1.2",
        ),
    ],
    ids=str,
)
async def test_templates(case: DnsCase, serve: Any) -> None:
    server = await serve(". {\n" + TEMPLATE + "}\n")
    assert case.differences(await server.ask(case.query())) == []


async def test_templates_count_and_tell_errors(serve: Any, host: Any) -> None:
    server = await serve(
        ". {\nerrors\n" + TEMPLATE + 'template IN TXT bad.test {\nanswer "{{ .Name }} nonsense"\n}\n}\n'
    )
    found = await server.ask(dns.message.make_query("x.deny.test.", "A"))
    assert found.options[0].code == dns.edns.EDECode.NOT_SUPPORTED and found.options[0].text == "not here"
    assert (await server.ask(dns.message.make_query("bad.test.", "TXT"))).rcode() == dns.rcode.SERVFAIL
    text = host.metrics.text().decode()
    assert (
        'coredns_template_matches_total{class="IN",server="dns://:53",type="A",view="",zone="deny.test."} 1.0' in text
    )
    assert "coredns_template_rr_failures_total{" in text
    assert "is not a record" in server.log[-1]


ALIASES = """cn.test {
    rewrite cname RULE
    file FILE
}
"""
ALIAS_ZONE = """$TTL 300
@ IN SOA ns root 1 2 3 4 5
@ IN NS ns
ns IN A 192.0.2.1
web IN CNAME target
target IN A 192.0.2.2
other IN A 192.0.2.3
deep IN CNAME web
"""


@pytest.mark.parametrize(
    ("rule", "name", "qtype", "expected"),
    [
        ("target.cn.test other.cn.test", "web", "A", "CNAME other.cn.test. A 192.0.2.3"),
        ("exact target.cn.test. other.cn.test.", "deep", "A", "CNAME web.cn.test. CNAME other.cn.test. A 192.0.2.3"),
        ("target.cn.test other.cn.test", "web", "CNAME", "CNAME other.cn.test."),
        ("target.cn.test other.cn.test", "web", "AAAA", "CNAME other.cn.test."),
        ("prefix tar o", "web", "CNAME", "CNAME oget.cn.test."),
        ("suffix get.cn.test other.cn.test", "web", "CNAME", "CNAME tarother.cn.test."),
        ("substring arge o", "web", "CNAME", "CNAME tot.cn.test."),
        ("regex (t.*)[.]cn[.]test[.] {1}.new.test.", "web", "CNAME", "CNAME target.new.test."),
        ("nosuch.cn.test other.cn.test", "web", "A", "CNAME target.cn.test. A 192.0.2.2"),
    ],
)
async def test_targets_of_aliases(rule: str, name: str, qtype: str, expected: str, serve: Any, tmp_path: Path) -> None:
    (tmp_path / "db").write_text(ALIAS_ZONE)
    server = await serve(ALIASES.replace("RULE", rule).replace("FILE", str(tmp_path / "db")))
    found = await server.ask(dns.message.make_query(f"{name}.cn.test.", qtype))
    records = [f"{rrset.rdtype.name} {rdata.to_text()}" for rrset in found.answer for rdata in rrset]
    assert " ".join(records) == expected


CLIENT = dns.edns.GenericOption(0xFFEE, b"x")


@pytest.mark.parametrize(
    ("rules", "options", "sent", "shown"),
    [
        ("edns0 local set 0xffee abcd", [], [b"abcd"], [b"abcd"]),
        ("edns0 local set 0xffee abcd", [CLIENT], [b"abcd"], [b"abcd"]),
        ("edns0 local set 0xffee abcd revert", [], [b"abcd"], []),
        ("edns0 local set 0xffee abcd revert", [CLIENT], [b"abcd"], [b"x"]),
        ("edns0 local unset 0xffee", [CLIENT], [], []),
        ("edns0 subnet set 24 56", [], [bytes([0, 1, 24, 0, 192, 0, 2])], []),
        ("edns0 subnet append 16 56 revert", [], [bytes([0, 1, 16, 0, 192, 0])], []),
        ("edns0 subnet replace 24 56", [], [], []),
        ("edns0 subnet unset", [dns.edns.ECSOption("198.51.100.0", 24)], [], []),
    ],
)
async def test_options_on_their_way_out_and_back(
    rules: str, options: list[Any], sent: list[bytes], shown: list[bytes], serve: Any, upstream: Any
) -> None:
    """As CoreDNS 1.15 was seen to answer."""
    up = await upstream(good("10.0.0.1"))
    server = await serve(f". {{\nrewrite {rules}\nforward . 127.0.0.1:{up.port}\n}}\n")
    found = await server.ask(dns.message.make_query("a.test.", "A", use_edns=0, options=options))
    ((_, asked),) = up.queries
    assert [option.to_wire() for option in asked.options] == sent
    assert [option.to_wire() for option in found.options if option.otype == 0xFFEE] == shown


CONDITIONS = """template IN A t.test {
    match ^(.*)[.]t[.]test[.]$
    expr "group(1) != 'never'"
    expr "incidr(client_ip(), '192.0.2.0/24')"
    answer "{{ .Name }} 60 IN A 10.0.0.1"
    fallthrough
}
template IN A t.test {
    answer "{{ .Name }} 60 IN A 10.0.0.2"
}
"""


@pytest.mark.parametrize(
    ("name", "client", "expected"),
    [
        ("a.t.test.", "192.0.2.7", "10.0.0.1"),
        ("never.t.test.", "192.0.2.7", "10.0.0.2"),
        ("a.t.test.", "198.51.100.7", "10.0.0.2"),
        ("a.t.test.", "nowhere", "SERVFAIL"),
    ],
)
async def test_conditions_of_templates(name: str, client: str, expected: str, serve: Any) -> None:
    server = await serve(". {\n" + CONDITIONS + "}\n")
    found = await server.ask(dns.message.make_query(name, "A"), client=client)
    assert (found.answer[0][0].to_text() if found.answer else dns.rcode.to_text(found.rcode())) == expected


MADE = {
    "ip": """match "^(?P<ip>[0-9]{1,3}(-[0-9]{1,3}){3})[.]"
var ip replace(group('ip'), '-', '.')
expr "any(['10.0.0.0/8', '192.168.0.0/16'], incidr(ip, #))"
answer "{{ .Name }} 60 IN A {{ .Var.ip }}"
fallthrough""",
    "many": """var n len(name())
var m n * 2
answer "{{ .Name }} 60 IN TXT {{ .Var.n }}-{{ .Var.m }}" "{{ .Name }} 60 IN TXT {{ printf `%03d` .Var.n }}"
""",
    "go": """answer "{{ $n := .Name }}{{ $n }} 60 IN TXT {{ if eq .Type `TXT` }}txt{{ else }}other{{ end }}"
""",
    "first": """match ^a
match .
expr group(0) == 'x'
answer "{{ .Name }} 60 IN TXT {{ .Regex }}"
""",
    "relative": """rcode NXDOMAIN
authority "{{ .Zone }} 60 IN SOA ns.example.com hostmaster.example.com (1 60 60 60 60)"
""",
    "group": """match (?P<one>b)?(?P<two>a)
answer "{{ .Name }} 60 IN TXT <{{ .Group.one }}{{ .Group.two }}{{ .Group.none }}>"
""",
}


@pytest.mark.parametrize(
    ("zone", "name", "kind", "found"),
    [
        ("ip", "10-1-2-3", "A", ["10-1-2-3.ip. 60 IN A 10.1.2.3"]),
        ("ip", "11-1-2-3", "A", ["REFUSED"]),
        ("ip", "999-1-2-3", "A", ["SERVFAIL"]),
        ("many", "a", "TXT", ['a.many. 60 IN TXT "7-14"', 'a.many. 60 IN TXT "007"']),
        ("go", "a", "TXT", ['a.go. 60 IN TXT "txt"']),
        ("first", "ax", "TXT", ["SERVFAIL"]),
        ("first", "x", "TXT", ['x.first. 60 IN TXT "."']),
        ("relative", "a", "A", ["relative. 60 IN SOA ns.example.com. hostmaster.example.com. 1 60 60 60 60"]),
        ("group", "a", "TXT", ['a.group. 60 IN TXT "<a<no" "value>>"']),
    ],
)
async def test_what_templates_make(zone: str, name: str, kind: str, found: list[str], serve: Any) -> None:
    """As CoreDNS was seen to answer."""
    refusing = "template ANY ANY {\nrcode REFUSED\n}\n"
    server = await serve(f"{zone} {{\ntemplate IN {kind} {{\n{MADE[zone]}\n}}\n{refusing}}}\n")
    reply = await server.ask(dns.message.make_query(f"{name}.{zone}.", kind))
    records = [line for rrset in (*reply.answer, *reply.authority) for line in rrset.to_text().split("\n")]
    assert (records or [dns.rcode.to_text(reply.rcode())]) == found
