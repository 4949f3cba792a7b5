"""What ``kubectl edit configmap coredns`` is told at once: that the DNS servers would not take this Corefile.

The API knows nothing of DNS and DNS nothing of the API; whoever puts both together says it. A warning and no refusal,
as the object itself is sound: the servers keep the last good Corefile, and the next edit mends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

NAMESPACE, NAMES = "kube-system", ("coredns", "node-local-dns")
KEY = "Corefile"


def corefile_warnings(obj: dict[str, Any]) -> Sequence[str]:
    """For a ConfigMap; only those that DNS servers are configured by."""
    meta, data = obj.get("metadata") or {}, obj.get("data") or {}
    text = data.get(KEY)
    if (meta.get("namespace"), meta.get("name")) not in [(NAMESPACE, name) for name in NAMES] or text is None:
        return ()
    from seamark.dns.corefile.lexer import CorefileError  # the server's code, not needed unless this is written
    from seamark.dns.corefile.parser import parse_corefile
    from seamark.dns.server.instance import parse_server

    if "{$" in text or "{%" in text:
        return ()  # what the pods' environment holds is not known here
    try:
        parse_server(parse_corefile(text, file=KEY, environment={}, read_imports=lambda pattern, importing: [("", "")]))
    except CorefileError as error:
        return (f"data.{error}; DNS servers keep the Corefile they have",)
    return ()
