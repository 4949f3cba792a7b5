"""Asks one plugin of your own, without a server: for tests of files of ``plugin_path``.

found = await ask_plugin(Path("split_horizon.py"), "api.example.", client="10.244.1.7", pods={"10.244.1.7": pod})
assert found.answer[0][0].address == "10.0.0.1"
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dns.message
import dns.name
import dns.rdatatype

from seamark.dns.plugin import Answer, Query
from seamark.dns.plugins.plugin_path.loading import load_plugin
from seamark.dns.reply import addressed, reply_to
from seamark.model.pod import Pod
from seamark.testing.clock import FakeClock

BEHIND = "192.0.2.99"
"""What the plugins behind answer, unless told otherwise."""


class ScriptedCluster:
    """Pods by address, answers of the own server by name; log lines in ``lines``."""

    def __init__(self, pods: Mapping[str, Pod], names: Mapping[str, str]) -> None:
        self.clock = FakeClock()
        self.lines: list[str] = []
        self._pods = pods
        self._names = names

    def pod(self, address: str) -> Pod | None:
        return self._pods.get(address)

    async def lookup(
        self, query: Query, name: dns.name.Name, rdtype: dns.rdatatype.RdataType
    ) -> dns.message.Message | None:
        asked = dns.message.make_query(name, rdtype)
        known = self._names.get(name.to_text().lower())
        return addressed(_query(asked, query.client), "behind", [known] if known else []).message

    def log(self, line: str) -> None:
        self.lines.append(line)


async def ask_plugin(
    plugin: Path | type[Any],
    name: str,
    rdtype: str = "A",
    *,
    client: str = "192.0.2.1",
    pods: Mapping[str, Pod] | None = None,
    names: Mapping[str, str] | None = None,
) -> dns.message.Message:
    """The reply to one question. Raises what the plugin raises; ``names`` are what ``lookup`` finds."""
    cluster = ScriptedCluster(pods or {}, names or {})
    made = load_plugin(plugin, cluster).plugin if isinstance(plugin, Path) else plugin(cluster)
    query = _query(dns.message.make_query(name, rdtype), client)

    async def following(further: Query) -> Answer:
        return addressed(further, "behind", [BEHIND])

    answer: Answer = await made.serve(query, following)
    return answer.message if answer.message is not None else reply_to(query.message, answer.rcode)


def _query(message: dns.message.QueryMessage, client: str) -> Query:
    asked = message.question[0]
    return Query(message, asked.name, asked.rdtype, client, "udp", dns.name.root, 0.0)
