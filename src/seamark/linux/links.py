"""Addresses made a machine's own, in a namespace: on a dummy link, or by local routes of ours, which need no link of
their own (``ip`` of iproute2, one process a batch). Such a route is known by its protocol number.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from seamark.linux import netns, process
from seamark.linux.errors import RefusedError

ROUTE_PROTOCOL = "94"


class LinkError(RefusedError):
    """``ip`` refused. Says what it said."""


async def list_addresses(namespace: Path | None) -> dict[str, tuple[str, ...]]:
    """Link -> its addresses, IPv4 and IPv6; link-local ones are nobody's target."""
    found: dict[str, tuple[str, ...]] = {}
    for link in json.loads(await _ip(namespace, "-json", "address", "show") or "[]"):
        items = (item for item in link.get("addr_info", ()) if item.get("scope") != "link" and item.get("local"))
        found[link["ifname"]] = tuple(item["local"] for item in items)
    return found


async def put_addresses(namespace: Path | None, link: str, *, add: Iterable[str], delete: Iterable[str] = ()) -> None:
    """Addresses on a dummy link, which is made where it is missing. One that is there already is no error."""
    if link not in await list_addresses(namespace):
        await _ip(namespace, "link", "add", link, "type", "dummy")
    lines = [f"address replace {_whole(ip)} dev {link}{' nodad' if ':' in ip else ''}" for ip in add]
    lines += [f"address delete {_whole(ip)} dev {link}" for ip in delete]
    if lines:
        await _ip(namespace, "-batch", "-", stdin="".join(f"{line}\n" for line in lines))


async def remove_link(namespace: Path | None, link: str) -> bool:
    """False if it was not there."""
    if link not in await list_addresses(namespace):
        return False
    await _ip(namespace, "link", "delete", link)
    return True


async def list_local_routes(namespace: Path | None, *, ipv6: bool, protocol: str = ROUTE_PROTOCOL) -> set[str]:
    """The addresses that routes of ours make local."""
    argv = ("-6" if ipv6 else "-4", "-json", "route", "show", "table", "local", "proto", protocol)
    return {route["dst"] for route in json.loads(await _ip(namespace, *argv) or "[]")}


async def put_local_routes(
    namespace: Path | None, *, add: Iterable[str] = (), delete: Iterable[str] = (), protocol: str = ROUTE_PROTOCOL
) -> None:
    route = f"dev lo table local proto {protocol}"
    lines = [f"route replace local {_whole(ip)} {route}" for ip in add]
    lines += [f"route delete local {_whole(ip)} {route}" for ip in delete]
    if lines:
        await _ip(namespace, "-batch", "-", stdin="".join(f"{line}\n" for line in lines))


def _whole(ip: str) -> str:
    return f"{ip}/128" if ":" in ip else f"{ip}/32"


async def _ip(namespace: Path | None, *argv: str, stdin: str = "") -> str:
    command = ("ip", *argv) if namespace is None else netns.command(namespace, "ip", *argv)
    try:
        done = await process.run(*command, stdin=stdin)
    except FileNotFoundError as error:
        raise LinkError("ip: program not found: install the package iproute2") from error
    if done.code:
        raise LinkError(f"ip: {done.stderr.strip()[:2000]}")
    return done.stdout
