"""What the command line of ``seamark up`` said, as ``Given``: every option under its own name, paths made whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seamark.cli.errors import UserError
from seamark.cli.settings import Given

REPEATED = {"insecure_registry": "insecure_registries", "registry_mirror": "registry_mirrors"}
"""Options that may be given several times, and the settings that keep them all."""


def parse_given(said: Mapping[str, Any]) -> Given:
    """``said``: value of each option by its name in Python, None where it was not given."""
    if said["isolated"] and said["host"]:
        raise UserError("up: --isolated and --host exclude each other")
    fields = {name: _absolute(said[name]) for name in Given.__struct_fields__ if name in said}
    fields["host"] = said["host"] if said["host"] or said["isolated"] else None
    for option, name in REPEATED.items():
        fields[name] = tuple(said[option]) if said[option] else None
    fields["image_gc"] = _parse_percents(said["image_gc"]) if said["image_gc"] else None
    return Given(**fields)


def _absolute(value: Any) -> Any:
    return str(value.absolute()) if isinstance(value, Path) else value


def _parse_percents(text: str) -> tuple[int, int]:
    try:
        high, low = (int(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--image-gc {text}: not HIGH,LOW, such as 85,80") from None
    return high, low
