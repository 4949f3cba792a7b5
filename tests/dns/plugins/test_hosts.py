"""Plugin hosts: inline entries and a file, with and without fallthrough."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seamark.dns.plugins.hosts.entries import parse_entries
from seamark.testing.dnscase import DnsCase

INLINE = """. {{
    hosts {file} {{
        10.0.0.1 web.example shared.example
        fd00::1 web.example
        10.0.0.2 *.wild.example
        {more}
    }}
    whoami
}}
"""


def corefile(more: str = "", file: object = "/nonexistent") -> str:
    return INLINE.format(file=file, more=more)


CASES = [
    DnsCase("web.example.", answer="web.example. 3600 IN A 10.0.0.1"),
    DnsCase("WEB.example.", answer="WEB.example. 3600 IN A 10.0.0.1"),
    DnsCase("web.example.", "AAAA", answer="web.example. 3600 IN AAAA fd00::1"),
    DnsCase("shared.example.", "AAAA"),
    DnsCase("shared.example.", "MX"),
    DnsCase("any.wild.example.", answer="any.wild.example. 3600 IN A 10.0.0.2"),
    DnsCase("a.b.wild.example.", rcode="SERVFAIL", aa=False),
    DnsCase("missing.example.", rcode="SERVFAIL", aa=False),
    DnsCase("missing.example.", "MX", rcode="SERVFAIL", aa=False),
    DnsCase(
        "1.0.0.10.in-addr.arpa.",
        "PTR",
        answer="1.0.0.10.in-addr.arpa. 3600 IN PTR web.example.\n1.0.0.10.in-addr.arpa. 3600 IN PTR shared.example.",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_answers(case: DnsCase, serve: Any) -> None:
    server = await serve(corefile())
    assert case.differences(await server.ask(case.query())) == []


@pytest.mark.parametrize(
    ("more", "name", "qtype", "falls"),
    [
        ("fallthrough", "missing.example.", "A", True),
        ("fallthrough other.example", "missing.example.", "A", False),
        ("fallthrough example", "missing.example.", "MX", True),
        ("fallthrough", "web.example.", "MX", False),
        ("fallthrough\nfallthrough_unsupported", "web.example.", "MX", True),
        ("", "2.0.0.10.in-addr.arpa.", "PTR", True),  # wildcards own no reverse name; PTR always falls through
        ("no_reverse", "1.0.0.10.in-addr.arpa.", "PTR", True),
    ],
)
async def test_what_falls_through(more: str, name: str, qtype: str, falls: bool, serve: Any) -> None:
    server = await serve(corefile(more))
    found = await server.ask(DnsCase(name, qtype).query())
    assert bool(found.additional) == falls


async def test_the_ttl_is_an_option(serve: Any) -> None:
    server = await serve(corefile("ttl 7"))
    case = DnsCase("web.example.", answer="web.example. 7 IN A 10.0.0.1")
    assert case.differences(await server.ask(case.query())) == []


async def test_a_file_is_read_again_when_it_changes(serve: Any, tmp_path: Path, host: Any) -> None:
    file = tmp_path / "hosts"
    file.write_text("192.0.2.1 file.example # comment\nnonsense\n192.0.2.9 web.example\n")
    server = await serve(corefile(file=file))
    case = DnsCase("file.example.", answer="file.example. 3600 IN A 192.0.2.1")
    assert case.differences(await server.ask(case.query())) == []
    both = DnsCase("web.example.", answer="web.example. 3600 IN A 10.0.0.1\nweb.example. 3600 IN A 192.0.2.9")
    assert both.differences(await server.ask(both.query())) == []
    file.write_text("192.0.2.22 file.example\n")
    await server.clock.advance(5)
    case = DnsCase("file.example.", answer="file.example. 3600 IN A 192.0.2.22")
    assert case.differences(await server.ask(case.query())) == []
    assert f'coredns_hosts_entries{{hostsfile="{file}"}}' in host.metrics.text().decode()


async def test_a_missing_file_is_a_warning(serve: Any, log: list[str]) -> None:
    await serve(corefile())
    assert log == ["[WARNING] plugin/hosts: File does not exist: /nonexistent"]


def test_lines_that_are_no_entries_are_left_out() -> None:
    found = parse_entries(["", "# x", "10.0.0.1", "x y", "10.0.0.1 ok.test bad..name"], reverse=True)
    assert found.addresses == {"ok.test.": {"A": ["10.0.0.1"]}}
