"""How kubectl's columns are written: durations, label maps, selectors, container lists.

The facts are in k8s.io/apimachinery ``duration.HumanDuration`` and ``metav1.FormatLabelSelector``; every cell here is
a pure function of the object and of the time now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seamark.machinery.clock import parse_time
from seamark.machinery.selectors import SelectorError, selector_from
from seamark.resources.access import entries, section, text
from seamark.resources.registry import Column, Obj

NONE = "<none>"
UNKNOWN = "<unknown>"
UNSET = "<unset>"
SHOWN = 3  # how many addresses or ports a list cell shows before "+ N more..."

_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400


def human_duration(seconds: float) -> str:
    """``5s``, ``3m10s``, ``6d17h``: two units while the first is small, one beyond, never more than needed."""
    if seconds < 0:
        # One second of clock difference between server and client is taken as now.
        return "<invalid>" if int(seconds) < -1 else "0s"
    whole = int(seconds)
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    if whole < 10 * _MINUTE:
        return _two(whole, (_MINUTE, "m"), (1, "s"))
    if whole < 3 * _HOUR:
        return f"{whole // _MINUTE}m"
    if whole < 8 * _HOUR:
        return _two(whole, (_HOUR, "h"), (_MINUTE, "m"))
    if whole < 2 * _DAY:
        return f"{whole // _HOUR}h"
    if whole < 8 * _DAY:
        return _two(whole, (_DAY, "d"), (_HOUR, "h"))
    if whole < 2 * _YEAR:
        return f"{whole // _DAY}d"
    if whole < 8 * _YEAR:
        return _two(whole, (_YEAR, "y"), (_DAY, "d"))
    return f"{whole // _YEAR}y"


def _two(whole: int, large: tuple[int, str], small: tuple[int, str]) -> str:
    first, rest = divmod(whole, large[0])
    second = rest // small[0]
    return f"{first}{large[1]}{second}{small[1]}" if second else f"{first}{large[1]}"


def since(when: Any, now: float) -> str:
    """A timestamp's age; ``<unknown>`` where there is none."""
    if not isinstance(when, str) or not when:
        return UNKNOWN
    try:
        return human_duration(now - parse_time(when))
    except ValueError:
        return UNKNOWN


def name_cell(obj: Obj, now: float) -> str:
    return text(obj, "metadata", "name")


def age_cell(obj: Obj, now: float) -> str:
    return since(section(obj, "metadata").get("creationTimestamp"), now)


def format_labels(labels: Mapping[str, Any]) -> str:
    """``a=1,b=2``, keys in order; ``<none>`` for no labels."""
    return ",".join(f"{k}={labels[k]}" for k in sorted(labels)) or NONE


def selector_text(selector: Obj | None) -> str:
    """A metav1.LabelSelector in the one-line form that ``-l`` takes; empty for one that is absent or selects all."""
    return str(selector_from(selector))


def format_selector(selector: Obj | None) -> str:
    try:
        return selector_text(selector) or NONE
    except SelectorError:
        return "<error>"


def names_of(containers: Sequence[Obj]) -> str:
    return ",".join(str(c.get("name", "")) for c in containers)


def images_of(containers: Sequence[Obj]) -> str:
    return ",".join(str(c.get("image", "")) for c in containers)


def some(values: Sequence[str], *, empty: str) -> str:
    """The first few of a list: ``a,b,c + 2 more...``."""
    if not values:
        return empty
    shown = ",".join(values[:SHOWN])
    return f"{shown} + {len(values) - SHOWN} more..." if len(values) > SHOWN else shown


def _template_containers(obj: Obj) -> list[Obj]:
    return entries(obj, "spec", "template", "spec", "containers")


CONTAINERS = Column("Containers", priority=1, cell=lambda obj, now: names_of(_template_containers(obj)))
IMAGES = Column("Images", priority=1, cell=lambda obj, now: images_of(_template_containers(obj)))
SELECTOR = Column("Selector", priority=1, cell=lambda obj, now: format_selector(section(obj, "spec").get("selector")))
