"""Log lines as JSON, one object a line, by the names that CoreDNS gives their parts (``-log-format json``). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from seamark.machinery.clock import format_time

LEVELS = {"WARNING": "WARN"}
_LINE = re.compile(r"(?:\[(DEBUG|INFO|WARNING|ERROR|FATAL)\] )?(?:plugin/([^:\s]+): )?(.*)", re.DOTALL)
NANOSECONDS = 10**9


def render_json(line: str, fields: Mapping[str, object], now: float) -> str:
    """``[LEVEL] plugin/NAME: MESSAGE`` as an object; ``fields`` come behind its own. ``now`` is Unix seconds."""
    found = _LINE.fullmatch(line)
    assert found is not None  # every part may be missing
    level, plugin, message = found[1] or "INFO", found[2], found[3]
    whole, part = divmod(round(now * NANOSECONDS), NANOSECONDS)
    time = f"{format_time(whole).removesuffix('Z')}.{part:09d}Z"
    told: dict[str, object] = {"time": time, "level": LEVELS.get(level, level), "msg": message}
    if plugin:
        told["plugin"] = plugin
    return msgspec.json.encode({**told, **fields}).decode()
