"""Schedules: what is refused and how, and when the next one is due."""

from __future__ import annotations

from datetime import datetime

import pytest

from seamark.machinery.cron import CronError, find_zone, parse_schedule


def unix(text: str, zone: str = "") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=find_zone(zone)).timestamp()


@pytest.mark.parametrize(
    ("schedule", "after", "due"),
    [
        pytest.param("* * * * *", "2026-11-24T10:00:00", "2026-11-24T10:01:00", id="every minute, not the present one"),
        pytest.param("*/15 * * * *", "2026-11-24T10:50:30", "2026-11-24T11:00:00", id="steps"),
        pytest.param("3/20 * * * *", "2026-11-24T10:24:00", "2026-11-24T10:43:00", id="steps from a start"),
        pytest.param("0 9-17/4 * * mon-fri", "2026-11-20T17:00:00", "2026-11-23T09:00:00", id="over a week-end"),
        pytest.param("30 4 1,15 * 5", "2026-11-24T10:00:00", "2026-11-27T04:30:00", id="either day counts"),
        pytest.param("0 0 29 2 *", "2026-11-24T10:00:00", "2028-02-29T00:00:00", id="leap day"),
        pytest.param("0 0 1 JAN ?", "2026-11-24T10:00:00", "2027-01-01T00:00:00", id="names and question mark"),
        pytest.param("@hourly", "2026-11-24T10:00:00", "2026-11-24T11:00:00", id="hourly"),
        pytest.param("@weekly", "2026-11-24T10:00:00", "2026-11-29T00:00:00", id="weekly"),
        pytest.param("@every 1h30m", "2026-11-24T10:00:07", "2026-11-24T11:30:07", id="every"),
    ],
)
def test_next(schedule: str, after: str, due: str) -> None:
    assert parse_schedule(schedule).next(unix(after)) == unix(due)


def test_a_day_that_never_comes() -> None:
    assert parse_schedule("0 0 31 2 *").next(unix("2026-11-24T10:00:00")) is None


def test_zone_and_its_summer_time() -> None:
    zone = "Europe/Zurich"
    two = parse_schedule("30 2 * * *")
    assert two.next(unix("2026-03-28T12:00:00", zone), find_zone(zone)) == unix("2026-03-30T02:30:00", zone)
    once = two.next(unix("2026-10-24T12:00:00", zone), find_zone(zone))
    assert once == unix("2026-10-25T02:30:00", zone)
    assert two.next(once or 0, find_zone(zone)) == unix("2026-10-26T02:30:00", zone)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("", "empty spec string"),
        ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("1/2/3 * * * *", "too many slashes: 1/2/3"),
        ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
        ("@never", "unrecognized descriptor: @never"),
        ("@every x", 'failed to parse duration @every x: time: invalid duration "x"'),
        ("TZ=Nowhere/X * * * * *", "provided bad location Nowhere/X: unknown time zone Nowhere/X"),
    ],
)
def test_refused(schedule: str, message: str) -> None:
    with pytest.raises(CronError) as caught:
        parse_schedule(schedule)
    assert str(caught.value) == message
