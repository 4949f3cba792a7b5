"""Plugin loadbalance by weights: the file, whose turn it is, and what is told of files that are wrong or away."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.dns.corefile.lexer import CorefileError
from seamark.dns.plugins.loadbalance.weights import choose_first, parse_weights
from seamark.testing.clock import settle

FILE = "# weights\n\nWWW.example.com\n10.0.0.1 3\n10.0.0.2 1\n\nv6.example.com.\n2001:db8::1 255\n"


def test_a_file_of_weights() -> None:
    assert parse_weights(FILE, "f") == {
        "www.example.com.": {ip_address("10.0.0.1"): 3, ip_address("10.0.0.2"): 1},
        "v6.example.com.": {ip_address("2001:db8::1"): 255},
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("10.0.0.1", 'wrong domain name:"10.0.0.1" in weight file f. \\(Maybe a missing weight value'),
        ("a.test\nb.test 3", 'wrong IP address:"b.test"'),
        ("a.test\n10.0.0.1 0", 'wrong weight value:"0"'),
        ("a.test\n10.0.0.1 256", 'wrong weight value:"256"'),
        ("10.0.0.1 3", "missing domain name"),
        ("a.test\n10.0.0.1 3 4", 'could not parse weight line:"10.0.0.1 3 4"'),
    ],
)
def test_what_is_wrong_with_a_file(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_weights(text, "f")


@given(st.lists(st.integers(1, 255), min_size=1, max_size=8))
def test_every_address_has_as_many_turns_as_it_weighs(weights: list[int]) -> None:
    addresses = [("a.test.", f"10.0.0.{number}") for number in range(len(weights))]
    file = {"a.test.": {ip_address(address): weight for (_, address), weight in zip(addresses, weights, strict=True)}}
    turns = Counter(choose_first(file, addresses, lambda most, at=at: at) for at in range(sum(weights)))
    assert [turns[place] for place in range(len(weights))] == weights


ZONE = """$ORIGIN example.com.
@ 60 IN SOA ns hostmaster 1 2 3 4 5
@ 60 IN NS ns
ns 60 IN A 10.0.0.9
www 60 IN A 10.0.0.1
www 60 IN A 10.0.0.2
www 60 IN A 10.0.0.3
alias 60 IN CNAME www
_x._tcp 60 IN SRV 0 0 80 www
txt 60 IN TXT a
"""


def corefile(root: Path, more: str = "") -> str:
    (root / "db").write_text(ZONE)
    return f"example.com {{\nroot {root}\nfile db\nloadbalance weighted weights {{\n{more}\n}}\n}}\n"


def addresses(section: list[Any]) -> list[str]:
    return [rdata.address for rrset in section if rrset.rdtype == 1 for rdata in rrset]


async def test_the_first_address_is_chosen_by_weight(serve: Any, tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("www.example.com\n10.0.0.2 8\n")
    server = await serve(corefile(tmp_path))
    firsts: Counter[str] = Counter()
    for _ in range(300):
        found = await server.ask(dns.message.make_query("alias.example.com.", "A"))
        assert found.answer[0].rdtype == 5
        assert sorted(addresses(found.answer)) == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
        firsts[addresses(found.answer)[0]] += 1
    assert set(firsts) == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}
    assert firsts["10.0.0.2"] > 2 * (firsts["10.0.0.1"] + firsts["10.0.0.3"])
    found = await server.ask(dns.message.make_query("_x._tcp.example.com.", "SRV"))
    assert len(addresses(found.additional)) == 3
    assert (await server.ask(dns.message.make_query("txt.example.com.", "TXT"))).answer


async def test_a_file_that_changes(serve: Any, tmp_path: Path) -> None:
    server = await serve(corefile(tmp_path, "reload 10s"))
    path = tmp_path / "weights"
    assert f"[WARNING] plugin/loadbalance: Failed to open weight file:{path}. Will try again in 10s" in server.log
    path.write_text("www.example.com\n10.0.0.3 255\n")
    await settle()
    await server.clock.advance(10)
    assert server.log[-1] == f"[INFO] plugin/loadbalance: Successfully reloaded weight file {path}"
    path.write_text("www.example.com\n10.0.0.3 x\n")
    await server.clock.advance(10)
    assert server.log[-1] == f'[ERROR] plugin/loadbalance: wrong weight value:"x" in weight file {path}'
    path.unlink()
    await server.clock.advance(10)
    assert server.log[-1] == "[ERROR] plugin/loadbalance: failed to open weight file"
    firsts = [
        addresses((await server.ask(dns.message.make_query("www.example.com.", "A"))).answer)[0] for _ in range(20)
    ]
    assert firsts.count("10.0.0.3") >= 15


async def test_a_file_that_cannot_come_any_more_or_is_wrong_is_an_error(serve: Any, tmp_path: Path) -> None:
    with pytest.raises(CorefileError, match="failed to open weight file"):
        await serve(corefile(tmp_path, "reload 0s"))
    (tmp_path / "weights").write_text("10.0.0.1 2\n")
    with pytest.raises(CorefileError, match="missing domain name in weight file"):
        await serve(corefile(tmp_path))
