"""``iptables-restore`` and ``iptables-save`` of one family in one namespace.

Which iptables (legacy or nft) is the machine's own choice, as for everybody else's rules on it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from seamark.linux import netns, process
from seamark.linux.errors import RefusedError

WAIT = ("-w", "5")
"""Seconds to wait for the lock another iptables holds."""

Variant = Literal["", "-legacy", "-nft"]


class IptablesError(RefusedError):
    """iptables refused; nothing of that table was applied. Says what it said."""


class Iptables:
    """``namespace`` None = this process's own. ``variant``: the machine's own choice, unless one is named."""

    def __init__(self, namespace: Path | None, *, ipv6: bool = False, variant: Variant = "") -> None:
        self._namespace = namespace
        self._program = f"{'ip6tables' if ipv6 else 'iptables'}{variant}"

    async def restore(self, text: str) -> None:
        """Applies the file, table by table; chains it does not name stay as they are."""
        await self._run(f"{self._program}-restore", "--noflush", *WAIT, stdin=text)

    async def save(self) -> str:
        """All tables as text."""
        return await self._run(f"{self._program}-save")

    async def list_chain(self, table: str, chain: str) -> tuple[str, ...]:
        """The rules of one chain as ``iptables-save`` prints them, without its name; none if it is not there."""
        try:
            lines = (await self._run(self._program, *WAIT, "-t", table, "-S", chain)).splitlines()
        except IptablesError:
            return ()
        head = f"-A {chain} "
        return tuple(line.removeprefix(head) for line in lines if line.startswith(head))

    async def _run(self, *argv: str, stdin: str = "") -> str:
        program = argv[0]
        if self._namespace is not None:
            argv = netns.command(self._namespace, *argv)
        try:
            done = await process.run(*argv, stdin=stdin)
        except FileNotFoundError as error:
            raise IptablesError(f"{program}: program not found: install the package iptables") from error
        if done.code == 127 or "failed to execute" in done.stderr:
            raise IptablesError(f"{program}: program not found: install the package iptables")
        if done.code:
            raise IptablesError(f"{program}: {done.stderr.strip()[:2000]}")
        return done.stdout
