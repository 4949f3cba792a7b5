"""``seamark shell``: becomes a command inside a node's network namespace.

The node of ``--host`` is the machine itself: there the command runs as it is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn

from seamark.cli.datadir import DataDir
from seamark.cli.errors import UserError
from seamark.linux import netns
from seamark.linux.fabric import FABRIC


def run_shell(data: DataDir, node: str, command: Sequence[str]) -> NoReturn:
    argv = select_command(data, node, command)
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        raise UserError(f"shell: {argv[0]}: {error.strerror}") from None


def select_command(data: DataDir, node: str, command: Sequence[str]) -> tuple[str, ...]:
    """What to execute. UserError where no such node runs."""
    settings = data.read_settings()
    if settings is not None and settings.host and node in settings.node_names:
        return tuple(command)
    pin = data.namespace(node)
    if netns.exists(pin):
        return netns.command(pin, *command)
    found = sorted(p.name for p in data.namespaces.iterdir()) if data.namespaces.is_dir() else []
    nodes = ", ".join(name for name in found if name != FABRIC)
    raise UserError(f"shell: no node {node} runs in {data.root}; there are: {nodes or 'none'}")
