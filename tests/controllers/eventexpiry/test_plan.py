"""Which Events are too old."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.controllers.eventexpiry.plan import plan_expired
from seamark.machinery.clock import format_micro_time, format_time
from seamark.testing.builders import START

OLD, YOUNG = START - 3600, START - 3599


@pytest.mark.parametrize(
    ("event", "goes"),
    [
        pytest.param({"lastTimestamp": format_time(OLD)}, True, id="an hour old"),
        pytest.param({"lastTimestamp": format_time(YOUNG)}, False, id="younger"),
        pytest.param({"eventTime": format_micro_time(OLD)}, True, id="of the new kind"),
        pytest.param(
            {"eventTime": format_micro_time(OLD), "series": {"lastObservedTime": format_micro_time(YOUNG)}},
            False,
            id="seen again",
        ),
        pytest.param({"metadata": {"creationTimestamp": format_time(OLD)}}, True, id="made long ago"),
        pytest.param(
            {"metadata": {"creationTimestamp": format_time(YOUNG)}, "lastTimestamp": "2001-01-01T00:00:00Z"},
            False,
            id="made late",
        ),
        pytest.param({"lastTimestamp": None, "eventTime": "soon"}, False, id="no moment"),
    ],
)
def test_expired(event: dict[str, Any], goes: bool) -> None:
    assert plan_expired([event], now=START) == ([event] if goes else [])
