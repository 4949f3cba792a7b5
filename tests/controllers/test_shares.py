"""Numbers and shares."""

from __future__ import annotations

import pytest

from seamark.controllers.shares import resolve_share


@pytest.mark.parametrize(
    ("value", "total", "up", "wanted"),
    [
        ("25%", 10, True, 3),
        ("25%", 10, False, 2),
        (7, 3, True, 7),
        ("0%", 5, True, 0),
        ("x", 5, True, 0),
        ("4", 9, True, 4),
    ],
)
def test_bound_is_a_number_or_a_share(value: int | str, total: int, up: bool, wanted: int) -> None:
    assert resolve_share(value, total, up=up) == wanted
