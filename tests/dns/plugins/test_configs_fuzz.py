"""Whatever stands in a Corefile, it is taken or refused at a word: no plugin's ``parse`` breaks."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from seamark.dns.corefile.lexer import CorefileError
from seamark.dns.corefile.parser import parse_corefile
from seamark.dns.order import IMPLEMENTED
from seamark.dns.server.instance import parse_server

WORDS = """
a.b 10.0.0.0/8 ::1 5s 0 -1 99999999999999999999 * ANY A IN ( [ {{ {{.Name}} {{.Group.x}} exact regex suffix name type
ttl rcode edns0 local set unset 0xff 0xfg net allow block to @kubernetes tls://1.1.1.1% tls://1.1.1.1%a:b tls:// 1-2 1-
- answer auto value match expr continue stop query aa read idle client_auth tls zonal multicluster apiserver_qps nan inf
extended_errors on . .. a..b fallthrough reload except headless apex upstream % [::1]:53 [::1 x:99999 consolidate class
monitor prefer policy next failover health_check domain servfail prefetch disable success labels namespaces pods
""".split()  # noqa: SIM905
LINE = st.lists(st.one_of(st.sampled_from(WORDS), st.just('"a b"'), st.text("ab:/%.{}-0", max_size=5)), max_size=5)
LINES = st.lists(LINE.map(" ".join), max_size=4)


@given(st.sampled_from(sorted(IMPLEMENTED)), LINE.map(" ".join), st.none() | LINES)
def test_a_corefile_is_taken_or_refused(name: str, arguments: str, lines: list[str] | None) -> None:
    block = "" if lines is None else " {\n" + "\n".join(lines) + "\n}"
    text = f". {{\n{name} {arguments}{block}\n}}\n"
    with contextlib.suppress(CorefileError):
        parse_server(parse_corefile(text, file="Corefile", environment={}))
