"""The supervisor stays small: the standard library and its own modules."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import seamark.linux.supervisor

ROOM = Path(next(iter(seamark.linux.supervisor.__path__)))


def test_the_supervisor_imports_nothing_else() -> None:
    for path in ROOM.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            for name in names:
                own = name.startswith("seamark.linux.supervisor.")
                assert own or name.split(".")[0] in sys.stdlib_module_names, f"{path.name} imports {name}"
