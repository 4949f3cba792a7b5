"""What kubectl's columns print of times, labels and selectors."""

from __future__ import annotations

import pytest

from seamark.resources.columns import format_labels, format_selector, human_duration, selector_text, since, some

MINUTE, HOUR, DAY, YEAR = 60, 3600, 86400, 365 * 86400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-2, "<invalid>"),
        (-1.5, "0s"),
        (0, "0s"),
        (1.9, "1s"),
        (119, "119s"),
        (120, "2m"),
        (190, "3m10s"),
        (599, "9m59s"),
        (600, "10m"),
        (3 * HOUR - 1, "179m"),
        (3 * HOUR, "3h"),
        (3 * HOUR + 90, "3h1m"),
        (8 * HOUR, "8h"),
        (2 * DAY - 1, "47h"),
        (2 * DAY, "2d"),
        (6 * DAY + 17 * HOUR, "6d17h"),
        (8 * DAY, "8d"),
        (2 * YEAR - 1, "729d"),
        (2 * YEAR, "2y"),
        (2 * YEAR + DAY, "2y1d"),
        (8 * YEAR + DAY, "8y"),
    ],
)
def test_human_duration(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


@pytest.mark.parametrize(
    ("when", "text"),
    [
        pytest.param("2026-11-24T09:59:55Z", "5s", id="whole seconds"),
        pytest.param("2026-11-24T09:59:55.250000Z", "4s", id="MicroTime"),
        pytest.param(None, "<unknown>", id="absent"),
        pytest.param("yesterday", "<unknown>", id="no time"),
    ],
)
def test_since(when: str | None, text: str) -> None:
    assert since(when, 1795514400.0) == text  # 2026-11-24T10:00:00Z


def test_format_labels() -> None:
    assert format_labels({"b": "2", "a": "1"}) == "a=1,b=2"
    assert format_labels({}) == "<none>"


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        pytest.param(
            {
                "matchLabels": {"app": "rs"},
                "matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["b", "a"]}],
            },
            "app=rs,x notin (a,b)",
            id="labels and a set",
        ),
        pytest.param({"matchExpressions": [{"key": "x", "operator": "In", "values": ["a"]}]}, "x in (a)", id="In"),
        pytest.param({"matchExpressions": [{"key": "x", "operator": "Exists"}]}, "x", id="Exists"),
        pytest.param({"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}, "!x", id="DoesNotExist"),
        pytest.param({}, "<none>", id="everything"),
        pytest.param(None, "<none>", id="nothing"),
        pytest.param({"matchExpressions": [{"key": "x", "operator": "Near"}]}, "<error>", id="no such operator"),
    ],
)
def test_format_selector(selector: dict[str, object] | None, text: str) -> None:
    assert format_selector(selector) == text


def test_selector_text_is_empty_where_the_column_says_none() -> None:
    assert selector_text({}) == ""


@pytest.mark.parametrize(
    ("values", "text"),
    [([], "<none>"), (["a"], "a"), (["a", "b", "c"], "a,b,c"), (list("abcde"), "a,b,c + 2 more...")],
)
def test_some(values: list[str], text: str) -> None:
    assert some(values, empty="<none>") == text
