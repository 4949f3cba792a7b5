"""The shape of the house, checked on the syntax tree: purity, sizes, names (ARCHITECTURE.md, "Rules")."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "seamark"
MODULES = sorted(SOURCE.rglob("*.py"))
IMPURE = {
    "asyncio",
    "socket",
    "subprocess",
    "os",
    "time",
    "random",
    "logging",
    "threading",
    "uvloop",
    "selectors",
}
MAX_LINES = 500
MAX_FUNCTION = 70
BANNED_NAMES = {"utils.py", "helpers.py", "common.py", "misc.py"}


def is_pure(path: Path) -> bool:
    parts = path.relative_to(SOURCE).parts
    return (
        parts[0] in {"model", "machinery", "compile", "resources"}
        or path.name in {"plan.py", "podplan.py"}
        or parts[:2] in {("dns", "corefile"), ("dns", "wire")}
    )


def imported(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("path", [p for p in MODULES if is_pure(p)], ids=lambda p: str(p.relative_to(SOURCE)))
def test_pure_rooms_import_nothing_impure(path: Path) -> None:
    assert imported(ast.parse(path.read_text())) & IMPURE == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_module_fits_its_budget(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert path.name not in BANNED_NAMES
    assert text.count("\n") <= MAX_LINES, "split the module into two rooms"
    assert ast.get_docstring(tree), "a module says what it is and why"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= MAX_FUNCTION, f"{node.name}: {lines} lines"


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("__init__.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_init_holds_a_docstring_and_exports_only(path: Path) -> None:
    allowed = (ast.Expr, ast.Import, ast.ImportFrom, ast.Assign)
    assert all(isinstance(node, allowed) for node in ast.parse(path.read_text()).body)


def test_only_linux_starts_processes() -> None:
    """subprocess belongs to linux/; cli may too, as the composition root, and agent through linux only."""
    offenders = [
        str(path.relative_to(SOURCE))
        for path in MODULES
        if path.relative_to(SOURCE).parts[0] not in {"linux", "cli", "testing"}
        and "subprocess" in imported(ast.parse(path.read_text()))
    ]
    assert offenders == []
