"""Search lists as glibc and as musl walk them: every rule of resolv.conf(5) and of musl's name lookup that matters."""

from __future__ import annotations

import pytest

from seamark.compile.resolvconf import ResolvConf
from seamark.compile.searchlist import Library, Outcome, Step, compile_search, joined, ndots, select_walked

POD = ResolvConf(("a.svc.c", "svc.c", "c"), ("10.96.0.10",), ("ndots:5",))
WALK = ["a.svc.c.", "svc.c.", "c."]


@pytest.mark.parametrize(
    ("name", "conf", "library", "expected"),
    [
        ("web", POD, "glibc", ["web.a.svc.c.", "web.svc.c.", "web.c.", "web."]),
        ("web", POD, "musl", ["web.a.svc.c.", "web.svc.c.", "web.c.", "web."]),
        ("www.example.com", POD, "glibc", [f"www.example.com.{d}" for d in WALK] + ["www.example.com."]),
        ("a.b.c.d.e.f", POD, "glibc", ["a.b.c.d.e.f.", *(f"a.b.c.d.e.f.{d}" for d in WALK)]),
        ("a.b.c.d.e.f", POD, "musl", ["a.b.c.d.e.f."]),
        ("web.", POD, "glibc", ["web."]),
        ("web.", POD, "musl", ["web."]),
        ("a.b", ResolvConf(("c",)), "glibc", ["a.b.", "a.b.c."]),
        ("a", ResolvConf(("c",)), "glibc", ["a.c.", "a."]),
        ("a", ResolvConf(), "musl", ["a."]),
        ("a", ResolvConf(("x" * 253, "c")), "glibc", ["a.c.", "a."]),
    ],
)
def test_which_names_are_asked(name: str, conf: ResolvConf, library: Library, expected: list[str]) -> None:
    assert [step.name for step in compile_search(name, conf, library)] == expected


@pytest.mark.parametrize(
    ("options", "expected"), [((), 1), (("ndots:5",), 5), (("ndots:99",), 15), (("rotate", "ndots:0"), 0)]
)
def test_ndots(options: tuple[str, ...], expected: int) -> None:
    assert ndots(ResolvConf(options=options)) == expected


@pytest.mark.parametrize(
    ("outcomes", "library", "walked", "result"),
    [
        (["nxdomain", "found", "found"], "glibc", 2, "found"),
        (["nodata", "found"], "glibc", 2, "found"),
        (["nodata", "found"], "musl", 1, "nodata"),
        (["servfail", "found"], "glibc", 2, "found"),
        (["servfail", "found"], "musl", 1, "servfail"),
        (["servfail", "nxdomain"], "glibc", 2, "servfail"),
        (["nxdomain", "servfail"], "glibc", 2, "servfail"),
        (["nodata", "nxdomain"], "glibc", 2, "nodata"),
        (["nodata", "servfail", "nodata"], "glibc", 3, "nodata"),
        (["nxdomain", "nxdomain"], "musl", 2, "nxdomain"),
        (["nxdomain", "outside", "found"], "musl", 2, "outside"),
    ],
)
def test_where_a_walk_ends(outcomes: list[Outcome], library: Library, walked: int, result: Outcome) -> None:
    steps = [(Step(str(number), ""), outcome) for number, outcome in enumerate(outcomes)]
    found, what = select_walked(iter(steps), library)
    assert (len(found), what) == (walked, result)


def test_what_came_of_the_name_as_it_is_counts_where_it_was_asked_first() -> None:
    steps: list[tuple[Step, Outcome]] = [
        (Step("a.b.", "", as_is=True), "nxdomain"),
        (Step("a.b.c.", ""), "nodata"),
    ]
    assert select_walked(iter(steps), "glibc")[1] == "nxdomain"
    assert select_walked(iter(reversed(steps)), "glibc")[1] == "nodata"


@pytest.mark.parametrize(
    ("outcomes", "glibc", "musl"),
    [
        (["found", "nodata"], "found", "found"),
        (["found", "nxdomain"], "found", "nxdomain"),
        (["nodata", "nodata"], "nodata", "nodata"),
        (["nxdomain", "nxdomain"], "nxdomain", "nxdomain"),
        (["servfail", "nodata"], "nodata", "servfail"),
        (["nodata", "nxdomain"], "nxdomain", "nxdomain"),
        (["servfail", "nxdomain"], "nxdomain", "servfail"),
        (["nxdomain", "servfail"], "nxdomain", "nxdomain"),
        (["found", "servfail"], "found", "servfail"),
        (["outside", "outside"], "outside", "outside"),
    ],
)
def test_both_families_together(outcomes: list[Outcome], glibc: Outcome, musl: Outcome) -> None:
    assert (joined(outcomes, "glibc"), joined(outcomes, "musl")) == (glibc, musl)
