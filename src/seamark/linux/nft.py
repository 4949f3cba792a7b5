"""``nft -f -``: the structure of a table as text, one atomic transaction a call.

Elements go over netlink (``nfnetlink.py``), 200 times cheaper than a process a change; this is for chains and rules.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from seamark.linux import netns


class NftError(Exception):
    """nft refused a file; nothing of it was applied. Says what nft said."""


async def apply_nft(text: str, namespace: Path | None) -> None:
    """Runs ``text`` inside the namespace (None = this process's own)."""
    argv: tuple[str, ...] = ("nft", "-f", "-")
    if namespace is not None:
        argv = netns.command(namespace, *argv)
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError as error:
        raise NftError(f"{argv[0]}: program not found: install the package nftables (and util-linux)") from error
    try:
        _, errors = await process.communicate(text.encode())
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):  # ended already; the error would swallow the cancel
            process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise NftError(f"nft: {errors.decode(errors='replace').strip()[:2000]}")
