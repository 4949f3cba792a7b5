"""``make test-kubectl``'s cases are well formed, and its judge sees what is wrong."""

from __future__ import annotations

import msgspec
import pytest
from conformance.kubectl.cases import Output, Step, judge, read_cases, read_given

WORDS = {"ns": "c1-37"}


def test_the_cases_are_read_and_start_from_what_there_is() -> None:
    given = read_given()
    cases = read_cases()
    assert len(cases) > 90
    assert {name for case in cases for name in case.given} <= given.keys()
    assert all(step.run or step.kubectl or step.get or step.while_ for case in cases for step in case.steps)


@pytest.mark.parametrize(
    ("step", "output", "wrong"),
    [
        ({"out": "pod/one"}, Output(0, "pod/one\n"), ""),
        ({"out": "pod/one"}, Output(0, "pod/one\npod/two\n"), "printed"),
        ({}, Output(1, "", "broken"), "exit 1: broken"),
        ({"code": 1, "err": ["not found$"]}, Output(1, "", "pod not found\n"), ""),
        ({"code": 1, "err": ["^not found$"]}, Output(1, "", "pod not found\n"), "no '^not found$'"),
        ({"has": ["^in $ns$"]}, Output(0, "first\nin c1-37\n"), ""),
        ({"not": ["second"]}, Output(0, "first\nsecond"), "'second' in"),
    ],
)
def test_judge(step: dict[str, object], output: Output, wrong: str) -> None:
    found = judge(msgspec.convert({"run": "get", **step}, Step), output, WORDS)
    assert wrong in found and bool(found) == bool(wrong)


def test_a_step_is_for_some_versions() -> None:
    step = msgspec.convert({"run": "get", "from": 24, "until": 27}, Step)
    assert [minor for minor in (21, 24, 27, 29) if step.is_for(minor)] == [24, 27]
    texts = msgspec.convert({"run": "get", "stdin": [{"metadata": {"name": "$ns"}}, {}]}, Step)
    assert texts.input(WORDS) == b'{"metadata": {"name": "c1-37"}}\n{}'
