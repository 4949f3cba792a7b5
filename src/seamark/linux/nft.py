"""``nft -f -``: the structure of a table as text, one atomic transaction a call; and what nft lists, for people.

Elements go over netlink (``nfnetlink.py``), 200 times cheaper than a process a change; this is for chains and rules.
"""

from __future__ import annotations

from pathlib import Path

from seamark.linux import netns, process
from seamark.linux.errors import RefusedError


class NftError(RefusedError):
    """nft refused a file; nothing of it was applied. Says what nft said."""


async def apply_nft(text: str, namespace: Path | None) -> None:
    """Runs ``text`` inside the namespace (None = this process's own)."""
    done = await _nft(namespace, "-f", "-", stdin=text)
    if done.code:
        raise NftError(f"nft: {done.stderr.strip()[:2000]}")


async def list_nft(namespace: Path | None, *what: str) -> str:
    """What ``nft list`` prints: ``("chain", "ip", "seamark", "dispatch")``; empty where it is not there."""
    done = await _nft(namespace, "list", *what)
    return "" if done.code else done.stdout


async def _nft(namespace: Path | None, *argv: str, stdin: str = "") -> process.Result:
    command = ("nft", *argv) if namespace is None else netns.command(namespace, "nft", *argv)
    missing = "nft: program not found: install the package nftables"
    try:
        done = await process.run(*command, stdin=stdin)
    except FileNotFoundError as error:
        raise NftError(missing if command[0] == "nft" else f"{command[0]}: program not found") from error
    if done.code == 127 or "failed to execute" in done.stderr:
        raise NftError(missing)
    return done
