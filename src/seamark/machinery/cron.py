"""Schedules of CronJobs: five fields of cron, ``@hourly`` and its like, ``@every 1h30m``; when the next one is due.

Own code instead of a library: what is refused must be refused in the words of the parser that Kubernetes uses
(github.com/robfig/cron v3, ``ParseStandard``), and the little arithmetic that is left is this file. Where both days are
given, a day that fits either counts; where one of them is ``*``, only the other does.

A time that a change to summer time leaves out is not due that day; one that comes twice is due once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

YEARS_AHEAD = 5  # a schedule such as 30 February is never due
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY = "@every "
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(?:(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))")


class CronError(ValueError):
    """The schedule is not one; the text is what Kubernetes says about it."""


@dataclass(frozen=True, slots=True)
class _Bounds:
    low: int
    high: int
    names: tuple[str, ...] = ()
    first: int = 0  # the number of the first name


_FIELDS = (_Bounds(0, 59), _Bounds(0, 23), _Bounds(1, 31), _Bounds(1, 12, _MONTHS, 1), _Bounds(0, 6, _DAYS))


@dataclass(frozen=True, slots=True)
class _Field:
    values: frozenset[int]
    star: bool


@dataclass(frozen=True, slots=True)
class Schedule:
    """Either five fields or, for ``@every``, a number of seconds."""

    fields: tuple[_Field, ...] = ()
    every: float = 0.0

    def next(self, after: float, zone: tzinfo = UTC) -> float | None:
        """The first time behind ``after`` (Unix seconds) at which it is due; None = not within years."""
        if self.every:
            return float(int(after) + int(self.every))
        minute, hour, _, month, _ = (field.values for field in self.fields)
        at = datetime.fromtimestamp(after, zone).replace(second=0, microsecond=0, tzinfo=None) + timedelta(minutes=1)
        end = at.year + YEARS_AHEAD
        while at.year <= end:
            if at.month not in month:
                at = (at.replace(day=1, hour=0, minute=0) + timedelta(days=32)).replace(day=1)
            elif not self._is_day(at):
                at = at.replace(hour=0, minute=0) + timedelta(days=1)
            elif at.hour not in hour:
                at = at.replace(minute=0) + timedelta(hours=1)
            elif at.minute not in minute:
                at += timedelta(minutes=1)
            else:
                unix = _unix(at, zone)
                if unix is not None and unix > after:
                    return unix
                at += timedelta(minutes=1)
        return None

    def _is_day(self, at: datetime) -> bool:
        day, weekday = self.fields[2], self.fields[4]
        in_month, in_week = at.day in day.values, at.isoweekday() % 7 in weekday.values
        return in_month and in_week if day.star or weekday.star else in_month or in_week


def _unix(local: datetime, zone: tzinfo) -> float | None:
    """None for a time that the clocks of the zone skip."""
    aware = local.replace(tzinfo=zone)
    unix = aware.timestamp()
    return unix if datetime.fromtimestamp(unix, zone).replace(tzinfo=None) == local else None


def find_zone(name: str) -> tzinfo:
    """Raises CronError for a zone that is not in the database."""
    try:
        return ZoneInfo(name) if name else UTC
    except (KeyError, ValueError, OSError):
        raise CronError(f"unknown time zone {name}") from None


def parse_schedule(text: str) -> Schedule:
    """Raises CronError."""
    if not text:
        raise CronError("empty spec string")
    if text.startswith(("TZ=", "CRON_TZ=")):
        zone, _, text = text.partition("=")[2].partition(" ")
        try:
            find_zone(zone)
        except CronError as error:
            raise CronError(f"provided bad location {zone}: {error}") from None
        text = text.strip()
    if text.startswith(_EVERY):
        return Schedule(every=max(1.0, _duration(text)))
    if text.startswith("@"):
        if text not in _DESCRIPTORS:
            raise CronError(f"unrecognized descriptor: {text}")
        text = _DESCRIPTORS[text]
    given = text.split()
    if len(given) != len(_FIELDS):
        raise CronError(f"expected exactly 5 fields, found {len(given)}: [{' '.join(given)}]")
    return Schedule(tuple(_parse_field(one, bounds) for one, bounds in zip(given, _FIELDS, strict=True)))


def _duration(text: str) -> float:
    given = text[len(_EVERY) :]
    found = _DURATION.findall(given)
    if not given or "".join(number + unit for number, unit in found) != given.removeprefix("+"):
        raise CronError(f'failed to parse duration {text}: time: invalid duration "{given}"')
    return sum(float(number) * _UNITS[unit] for number, unit in found)


def _parse_field(text: str, bounds: _Bounds) -> _Field:
    parts = [_parse_range(part, bounds) for part in text.split(",") if part]
    return _Field(frozenset().union(*(part.values for part in parts)), any(part.star for part in parts))


def _parse_range(text: str, bounds: _Bounds) -> _Field:
    """``*``, ``5``, ``1-5``, ``*/15``, ``1-30/2``, ``3/10``: from 3 on."""
    span, *steps = text.split("/")
    low, *rest = span.split("-")
    star = low in ("*", "?")
    if star:
        start, end = bounds.low, bounds.high
    else:
        start = _number(low, bounds)
        if len(rest) > 1:
            raise CronError(f"too many hyphens: {text}")
        end = _number(rest[0], bounds) if rest else start
    if len(steps) > 1:
        raise CronError(f"too many slashes: {text}")
    step = _whole(steps[0]) if steps else 1
    if steps and not rest:
        end = bounds.high
    if start < bounds.low:
        raise CronError(f"beginning of range ({start}) below minimum ({bounds.low}): {text}")
    if end > bounds.high:
        raise CronError(f"end of range ({end}) above maximum ({bounds.high}): {text}")
    if start > end:
        raise CronError(f"beginning of range ({start}) beyond end of range ({end}): {text}")
    if not step:
        raise CronError(f"step of range should be a positive number: {text}")
    return _Field(frozenset(range(start, end + 1, step)), star and step == 1)


def _number(text: str, bounds: _Bounds) -> int:
    name = text.lower()
    return bounds.first + bounds.names.index(name) if name in bounds.names else _whole(text)


def _whole(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d+", text, re.ASCII):
        raise CronError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    found = int(text)
    if found < 0:
        raise CronError(f"negative number ({found}) not allowed: {text}")
    return found
