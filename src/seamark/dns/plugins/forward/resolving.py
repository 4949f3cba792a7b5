"""Where the upstreams are: addresses out of files, and host names asked for at start.

A resolv.conf that names systemd-resolved's stub (127.0.0.53) is seen through: its real upstreams stand in a file
beside. Asking the stub would make a second cache, and a loop on nodes whose resolved asks the cluster.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from seamark.compile.resolvconf import parse_resolv_conf
from seamark.dns.corefile.address import split_address
from seamark.dns.host import Host
from seamark.dns.plugins.forward.config import Config, Health, Transport
from seamark.dns.plugins.forward.targets import Upstream as Target
from seamark.dns.plugins.forward.upstream import Upstream, UpstreamError

STUBS = frozenset({"127.0.0.53", "127.0.0.54"})
RESOLVED = Path("/run/systemd/resolve/resolv.conf")
PATIENCE = Health(max_fails=0)


def read_targets(config: Config, resolved: Path = RESOLVED) -> Iterator[Target]:
    """The targets with files replaced by what they name. Raises CorefileError for a file that cannot be read."""
    for target in config.upstreams:
        if not target.is_file:
            yield target
            continue
        for server in _servers(target, resolved):
            host, port = split_address(server)
            yield Target(host, port or target.port, target.token)


def watched_files(config: Config, resolved: Path = RESOLVED) -> tuple[str, ...]:
    """What a change of which makes other upstreams."""
    files = [target.host for target in config.upstreams if target.is_file]
    return (*files, str(resolved)) if files else ()


def _servers(target: Target, resolved: Path) -> Sequence[str]:
    try:
        found = parse_resolv_conf(Path(target.host).read_text(errors="replace")).nameservers
    except OSError as error:
        raise target.token.error(f"forward: cannot read '{target.host}': {error.strerror}") from error
    if found and STUBS.issuperset(found):
        try:
            real = parse_resolv_conf(resolved.read_text(errors="replace")).nameservers
        except OSError:
            return found
        return real or found
    return found


async def resolve_target(target: Target, config: Config, host: Host) -> list[Target]:
    """A host name as its addresses. Raises CorefileError, as CoreDNS refuses to start."""
    try:
        found = await (_ask(target.host, config, host) if config.resolver else _system(target.host))
    except (OSError, UpstreamError, dns.exception.DNSException) as error:
        raise target.token.error(f"forward: failed to resolve '{target.host}': {error}") from error
    if not found:
        raise target.token.error(f"forward: failed to resolve '{target.host}': it has no address")
    return [replace(target, host=address, is_name=False) for address in found]


async def _system(name: str) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    return list(dict.fromkeys(str(where[4][0]) for where in found))


async def _ask(name: str, config: Config, host: Host) -> list[str]:
    """Of the first resolver that answers; both families."""
    problem: UpstreamError | None = None
    for address, port in config.resolver:
        upstream = Upstream(address, port, own=host, transport=Transport(), health=PATIENCE)
        try:
            found: list[str] = []
            for rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA):
                reply = await upstream.ask(dns.message.make_query(dns.name.from_text(name), rdtype), "udp")
                found += [rdata.to_text() for rrset in reply.answer if rrset.rdtype == rdtype for rdata in rrset]
            return found
        except UpstreamError as error:
            problem = error
        finally:
            await upstream.close()
    raise problem or UpstreamError("no resolver")
