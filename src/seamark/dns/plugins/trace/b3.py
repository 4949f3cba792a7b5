"""The trace a request belongs to, as Zipkin's clients tell it (B3 headers, the single one or several). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_TRACE = re.compile(r"(?:[0-9a-f]{16}){1,2}", re.IGNORECASE)
_SPAN = re.compile(r"[0-9a-f]{16}", re.IGNORECASE)
_SAMPLED = {"1": True, "true": True, "d": True, "0": False, "false": False}


@dataclass(frozen=True, slots=True)
class Carried:
    """Of the client's span. ``trace`` is empty where only the decision to sample came; None = there was none."""

    trace: str = ""
    span: str = ""
    parent: str = ""
    sampled: bool | None = None
    debug: bool = False


def parse_b3(headers: Mapping[str, str]) -> Carried:
    """Header names in lower case. What is broken counts as if nothing had come."""
    single = headers.get("b3", "")
    if single and (found := _single(single)) is not None:
        return found
    flags, sampled = headers.get("x-b3-flags", "") == "1", headers.get("x-b3-sampled", "").lower()
    trace, span = headers.get("x-b3-traceid", ""), headers.get("x-b3-spanid", "")
    if not trace or not span:
        return Carried(sampled=_SAMPLED.get(sampled), debug=flags)
    return _checked(trace, span, headers.get("x-b3-parentspanid", ""), "d" if flags else sampled) or Carried()


def _single(text: str) -> Carried | None:
    """``TRACE-SPAN[-SAMPLED[-PARENT]]``, or the decision alone."""
    if text in _SAMPLED:
        return Carried(sampled=_SAMPLED[text], debug=text == "d")
    trace, span, sampled, parent = (text.split("-") + [""] * 3)[:4]
    return _checked(trace, span, parent, sampled)


def _checked(trace: str, span: str, parent: str, sampled: str) -> Carried | None:
    is_sound = _TRACE.fullmatch(trace) and _SPAN.fullmatch(span) and (not parent or _SPAN.fullmatch(parent))
    if not is_sound or (sampled and sampled not in _SAMPLED):
        return None
    return Carried(trace.lower(), span.lower(), parent.lower(), _SAMPLED.get(sampled), sampled == "d")
