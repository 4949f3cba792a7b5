"""Plugin view: which block takes a query, and what expressions mean."""

from __future__ import annotations

from typing import Any

import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from seamark.dns.corefile.lexer import CorefileError
from seamark.dns.expression import parse_expression
from seamark.dns.plugin import Query
from seamark.dns.plugins.view.config import FUNCTIONS


def query(name: str = "Web.test.", kind: str = "A", client: str = "10.244.1.9", **more: Any) -> Query:
    message = dns.message.make_query(name, kind, use_edns=0, payload=1232, want_dnssec=True)
    message.id = 7
    asked = message.question[0]
    found = Query(message, asked.name, asked.rdtype, client, "udp", asked.name, 0.0, client_port=4021, size=40)
    found.metadata = more
    return found


@pytest.mark.parametrize(
    "text",
    [
        "type() == 'A' && name() == 'web.test.'",
        "type() in ['AAAA', 'A'] and not (name() in ['other.test.'])",
        "name() not in ['other.test.']",
        "name() matches '^w.b\\\\.test' || false",
        "name() startsWith 'web' and name() endsWith \"test.\" and name() contains 'b.t'",
        "incidr(client_ip(), '10.244.0.0/16')",
        "!incidr(client_ip(), '2001:db8::/32')",
        "bufsize() >= 1232 and do() and id() == 7 and opcode() == 0 and size() < 41",
        "class() == 'IN' and proto() == 'udp' and port() == '4021'",
        "do() ? type() != 'AAAA' : false",
        "metadata('kubernetes/client-namespace') == 'shop' and metadata('none') == ''",
        "false or true and not false",
    ],
)
def test_conditions_that_hold(text: str) -> None:
    asked = query(**{"kubernetes/client-namespace": lambda: "shop"})
    assert parse_expression(text, FUNCTIONS).evaluate(asked) is True
    assert parse_expression(f"not ({text})", FUNCTIONS).evaluate(asked) is False


VIEWS = """
test {
    view inside {
        expr incidr(client_ip(), '10.0.0.0/8')
    }
    prometheus
    hosts {
        10.0.0.1 web.test
    }
}
test {
    view shop {
        expr metadata('view/name') == 'shop'
    }
    metadata
    hosts {
        10.0.0.2 web.test
    }
}
. {
    hosts {
        10.0.0.9 web.test
    }
}
"""


@pytest.mark.parametrize(("client", "address"), [("10.1.1.1", "10.0.0.1"), ("192.0.2.7", "10.0.0.2")])
async def test_the_first_block_whose_view_holds_answers(client: str, address: str, serve: Any) -> None:
    server = await serve(VIEWS)
    found = await server.ask(dns.message.make_query("web.test.", "A"), client=client)
    assert [rdata.address for rdata in found.answer[0]] == [address]


async def test_where_no_view_holds_the_next_shorter_zone_answers(serve: Any) -> None:
    server = await serve(VIEWS.replace("'shop'", "'bar'", 1))
    found = await server.ask(dns.message.make_query("web.test.", "A"))
    assert found.answer[0][0].address == "10.0.0.9"
    alone = await serve(VIEWS.replace("'shop'", "'bar'", 1).rpartition("}\n. {")[0] + "}")
    assert (await alone.ask(dns.message.make_query("web.test.", "A"))).rcode() == dns.rcode.REFUSED


async def test_views_name_the_metrics_of_their_block(serve: Any, host: Any) -> None:
    server = await serve(VIEWS)
    await server.ask(dns.message.make_query("web.test.", "A"), client="10.1.1.1")
    text = host.metrics.text().decode()
    assert (
        'coredns_dns_responses_total{plugin="hosts",rcode="NOERROR",server="dns://:53",view="inside",zone="test."} 1'
        in text
    )


async def test_blocks_without_a_view_still_exclude_each_other(serve: Any) -> None:
    with pytest.raises(CorefileError, match="is served by another server block already"):
        await serve(". {\nwhoami\n}\n. {\nwhoami\n}")
