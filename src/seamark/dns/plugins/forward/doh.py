"""Upstreams over HTTPS (RFC 8484): POST or GET of /dns-query, connections kept and used again (HTTP/1.1).

The id on the wire is 0, so that caches on the way see equal questions as equal; what comes back is ours by its
connection.
"""

from __future__ import annotations

import base64

import dns.message

from seamark.client.base import TransportError
from seamark.client.http import Credentials, HttpTransport
from seamark.dns.host import Site
from seamark.dns.plugins.forward.checking import is_for
from seamark.dns.plugins.forward.config import Config
from seamark.dns.plugins.forward.targets import Upstream as Target
from seamark.machinery.wire import Request

PATH = "/dns-query"
TYPE = "application/dns-message"


class HttpsUpstream:
    protocol = "https"

    def __init__(self, transport: HttpTransport, host: str, method: str) -> None:
        self._transport = transport
        self._headers = {"accept": TYPE, "host": host}
        self._method = method

    async def ask(self, message: dns.message.Message) -> dns.message.Message:
        """Raises TransportError and dns.exception.DNSException."""
        wire = b"\0\0" + message.to_wire()[2:]
        response = await self._transport(_request(self._method, wire, self._headers))
        if response.status != 200:
            raise TransportError(f"HTTP status {response.status}")
        found = dns.message.from_wire(response.body, ignore_trailing=True)
        if not is_for(found, message):
            raise TransportError("the answer is to another question")
        found.id = message.id
        return found

    async def close(self) -> None:
        await self._transport.close()


def open_doh(target: Target, name: str, config: Config, site: Site) -> HttpsUpstream:
    """Raises CorefileError for certificates that cannot be used."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    files = (config.tls.certificate, config.tls.key, config.tls.authority)
    try:
        certificate, key, authority = ((site.root / file).read_bytes() if file else b"" for file in files)
        transport = HttpTransport(
            f"https://{host}:{target.port}",
            ca=authority,
            credentials=Credentials(certificate, key),
            server_name=name,
            timeout=config.transport.read_timeout,
        )
    except (OSError, ValueError) as error:
        raise target.token.error(f"forward: the certificates of tls cannot be used: {error}") from error
    return HttpsUpstream(transport, name or host, config.transport.doh_method)


def _request(method: str, wire: bytes, headers: dict[str, str]) -> Request:
    if method == "GET":
        encoded = base64.urlsafe_b64encode(wire).rstrip(b"=").decode()
        return Request("GET", PATH, (("dns", encoded),), headers)
    return Request("POST", PATH, (), {**headers, "content-type": TYPE}, wire)
