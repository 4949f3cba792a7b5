"""Plugin dns64: addresses out of IPv4 addresses, for whom and for what."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Any

import dns.message
import dns.rcode
import pytest

from seamark.dns.plugins.dns64.handler import embed

ZONE = """
template IN A v4.test {
answer "{{ .Name }} 900 IN A 192.0.2.33"
}
template IN AAAA v4.test {
authority "v4.test. 60 IN SOA ns.v4.test. host.v4.test. 1 2 3 4 60"
}
template IN A alias.test {
answer "alias.test. 30 IN CNAME real.test." "real.test. 30 IN A 192.0.2.33"
}
template IN AAAA alias.test {
answer "alias.test. 30 IN CNAME real.test."
}
template IN AAAA both.test {
answer "both.test. 30 IN AAAA 2001:db8::1"
}
template IN A both.test {
answer "both.test. 30 IN A 192.0.2.33"
}
template IN ANY no.test {
rcode NXDOMAIN
}
"""


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("2001:db8::/32", "2001:db8:c000:221::"),
        ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
        ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
        ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
        ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
        ("2001:db8:122:344::/96", "2001:db8:122:344::c000:221"),
    ],
)
def test_addresses_are_embedded_as_the_table_of_rfc_6052_says(prefix: str, expected: str) -> None:
    assert embed(IPv4Address("192.0.2.33"), IPv6Network(prefix)) == IPv6Address(expected)


async def ask(serve: Any, options: str, name: str, client: str = "2001:db8::9", kind: str = "AAAA") -> Any:
    server = await serve(". {\ndns64 {\n" + options + "\n}\n" + ZONE + "}")
    return await server.ask(dns.message.make_query(name, kind), client=client)


@pytest.mark.parametrize(
    ("options", "name", "client", "answer"),
    [
        ("", "v4.test.", "2001:db8::9", ["v4.test. 60 IN AAAA 64:ff9b::c000:221"]),
        ("", "v4.test.", "192.0.2.7", []),
        ("allow_ipv4", "v4.test.", "192.0.2.7", ["v4.test. 60 IN AAAA 64:ff9b::c000:221"]),
        ("prefix 64:1337::/96", "v4.test.", "2001:db8::9", ["v4.test. 60 IN AAAA 64:1337::c000:221"]),
        ("", "both.test.", "2001:db8::9", ["both.test. 30 IN AAAA 2001:db8::1"]),
        ("translate_all", "both.test.", "2001:db8::9", ["both.test. 30 IN AAAA 64:ff9b::c000:221"]),
        (
            "",
            "alias.test.",
            "2001:db8::9",
            ["alias.test. 30 IN CNAME real.test.", "real.test. 30 IN AAAA 64:ff9b::c000:221"],
        ),
    ],
)
async def test_who_gets_made_addresses(options: str, name: str, client: str, answer: list[str], serve: Any) -> None:
    found = await ask(serve, options, name, client)
    assert [rrset.to_text() for rrset in found.answer] == answer


async def test_a_name_that_does_not_exist_gets_none_and_other_types_are_left_alone(serve: Any, host: Any) -> None:
    assert (await ask(serve, "", "no.test.")).rcode() == dns.rcode.NXDOMAIN
    assert (await ask(serve, "", "v4.test.", kind="A")).answer[0].to_text() == "v4.test. 900 IN A 192.0.2.33"
    assert 'coredns_dns64_requests_translated_total{server="dns://:53"}' not in host.metrics.text().decode()
    await ask(serve, "", "v4.test.")
    assert 'coredns_dns64_requests_translated_total{server="dns://:53"} 1.0' in host.metrics.text().decode()
