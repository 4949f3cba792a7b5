"""Snapshot -> the names of a cluster zone (product: DnsTable): owner, type, data and where each came from.

The table holds what ``kubernetes`` answers for Services, endpoints and verified pods; apex records, wildcards of
time (SOA serial) and echo names (``pods insecure``) are computed at query time by the plugin.
"""

from __future__ import annotations

from typing import NamedTuple

from seamark.model.meta import Provenance


class Record(NamedTuple):
    """One record below the zone. ``owner`` is relative and lower-case (``web.default.svc``); ``data`` is
    presentation form without the zone (``0 100 80 web.default.svc``), absolute where it ends in a dot.
    """

    owner: str
    rdtype: str
    data: str
    origin: Provenance


class Rrset(NamedTuple):
    owner: str
    rdtype: str
    records: tuple[Record, ...]
