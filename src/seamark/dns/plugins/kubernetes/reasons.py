"""Extended errors (RFC 8914) of the plugin's answers: stale, not ready, or why there is no such record."""

from __future__ import annotations

from collections.abc import Sequence

import dns.edns
import dns.message
from dns.edns import EDECode

from seamark.compile.dnsreason import reason
from seamark.compile.dnstable import DnsTable
from seamark.dns.plugin import Query
from seamark.dns.reply import with_option
from seamark.dns.reverse import is_reverse_name


def add_reasons(
    message: dns.message.Message, query: Query, table: DnsTable, below: Sequence[str], *, ready: bool, stale_since: str
) -> None:
    """For clients that send EDNS. ``stale_since`` is when the snapshot in use was made, empty = none is."""
    if query.message.edns < 0:
        return
    if stale_since:
        code = EDECode.STALE_ANSWER if message.answer else EDECode.STALE_NXDOMAIN_ANSWER
        _add(message, code, f"the API server has not answered yet; this is as of {stale_since}")
    elif not ready:
        _add(message, EDECode.NOT_READY, "the first list of the API server is not complete yet")
        return
    if message.answer or is_reverse_name(query.text):
        return
    why = reason(table, below, query.rdtype.name)
    if why:
        _add(message, EDECode.OTHER, why)


def _add(message: dns.message.Message, code: EDECode, told: str) -> None:
    with_option(message, dns.edns.EDEOption(code, told), flags=0)
