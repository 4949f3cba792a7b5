"""Python files -> plugins: one class each, made anew when its file changes.

A file that cannot be read, does not run, or holds no class or several, gives a sentence and no plugin; what it gave
before stays in use. Modules are known as ``seamark_plugin_path.STEM``, so that tracebacks and dataclasses find them.
"""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from seamark.dns.server.loading import stamp

PACKAGE = "seamark_plugin_path"
Stamp = tuple[int, int, int]


class PluginFileError(Exception):
    """Why a file gives no plugin: names it."""


@dataclass(frozen=True, slots=True)
class Loaded:
    name: str
    plugin: Any
    seen: Stamp


def list_files(directory: Path) -> list[Path]:
    """In the order in which their plugins see a query; names with ``_`` or ``.`` in front are left out."""
    return sorted(path for path in directory.glob("*.py") if path.name[0] not in "_.")


def load_plugin(path: Path, cluster: object) -> Loaded:
    """Runs the file. Raises PluginFileError."""
    (seen,) = stamp([str(path)])
    kind = _only_class(path, _run(path))
    try:
        takes = inspect.signature(kind).parameters
        plugin = kind(cluster) if takes else kind()
    except Exception as error:
        raise PluginFileError(f"{path}: {kind.__name__}(): {type(error).__name__}: {error}") from error
    return Loaded(str(getattr(plugin, "name", path.stem)), plugin, seen)


def _run(path: Path) -> ModuleType:
    module = ModuleType(f"{PACKAGE}.{path.stem}")
    module.__file__ = str(path)
    before = sys.modules.get(module.__name__)
    sys.modules[module.__name__] = module
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        if before is None:
            del sys.modules[module.__name__]
        else:
            sys.modules[module.__name__] = before
        raise PluginFileError(f"{path}: {type(error).__name__}: {error}") from error
    return module


def _only_class(path: Path, module: ModuleType) -> type:
    found = [
        kind
        for name, kind in vars(module).items()
        if inspect.isclass(kind) and kind.__module__ == module.__name__ and not name.startswith("_")
    ]
    plugins = [kind for kind in found if inspect.iscoroutinefunction(getattr(kind, "serve", None))]
    if len(plugins) != 1:
        raise PluginFileError(f"{path}: {len(plugins)} classes with `async def serve(self, query, following)`, not one")
    return plugins[0]
