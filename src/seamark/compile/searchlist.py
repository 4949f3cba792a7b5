"""Which names a C library asks for when a program asks for one: search list and ndots, as glibc and as musl walk them.

glibc (resolv/res_query.c): a name with at least ``ndots`` dots is asked as it is first and along the search list then;
one with fewer along the list first. It goes on after NXDOMAIN, NODATA and SERVFAIL alike; where nothing is found, the
caller is told what came of the name as it is, if that was asked first, else of a NODATA, else of a SERVFAIL. musl
(src/network/lookup_name.c): a name with enough dots is asked as it is alone; the list ends at the first answer that is
not NXDOMAIN, so a NODATA or a SERVFAIL ends it, and the NXDOMAIN of one address family denies the name. A final dot
stops both from searching. A test asks both libraries.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from seamark.compile.resolvconf import ResolvConf

Library = Literal["glibc", "musl"]
Outcome = Literal["found", "nodata", "nxdomain", "servfail", "outside"]
"""``outside``: the question leaves the cluster, so an upstream's answer decides."""

LIBRARIES: tuple[Library, ...] = ("glibc", "musl")
DEFAULT_NDOTS, MAX_NDOTS = 1, 15
MAX_NAME = 254


@dataclass(frozen=True, slots=True)
class Step:
    """One name that is asked, absolute, and why."""

    name: str
    why: str
    as_is: bool = False


def ndots(conf: ResolvConf) -> int:
    for option in conf.options:
        word, _, value = option.partition(":")
        if word == "ndots" and value.isdecimal():
            return min(int(value), MAX_NDOTS)
    return DEFAULT_NDOTS


def compile_search(name: str, conf: ResolvConf, library: Library) -> tuple[Step, ...]:
    """All names in order, as if none were found."""
    plain = name.rstrip(".")
    absolute = f"{plain}."
    if name.endswith("."):
        return (Step(absolute, "as it is: the final dot stops the search", as_is=True),)
    dots, enough = plain.count("."), ndots(conf)
    along = tuple(
        step
        for domain in conf.searches
        if len((step := Step(f"{plain}.{domain}.", f"search {domain}")).name) <= MAX_NAME
    )
    if dots >= enough:
        first = Step(absolute, f"as it is: {dots} dots are enough for ndots:{enough}", as_is=True)
        return (first, *along) if library == "glibc" else (first,)
    return (*along, Step(absolute, f"as it is, last: {dots} dots are fewer than ndots:{enough}", as_is=True))


def select_walked(steps: Iterable[tuple[Step, Outcome]], library: Library) -> tuple[list[Step], Outcome]:
    """How far the library goes, and what its caller gets. ``steps`` is read no further than that."""
    walked: list[Step] = []
    failures: list[Outcome] = []
    for step, outcome in steps:
        walked.append(step)
        if outcome in ("found", "outside"):
            return walked, outcome
        if library == "musl" and outcome != "nxdomain":
            return walked, outcome
        failures.append(outcome)
    if walked and walked[0].as_is:
        return walked, failures[0]
    worst: tuple[Outcome, ...] = ("nodata", "servfail")
    return walked, next((outcome for outcome in worst if outcome in failures), "nxdomain")


def joined(outcomes: Iterable[Outcome], library: Library) -> Outcome:
    """What the questions for both address families come to together, that for A first."""
    found = list(outcomes)
    order: tuple[Outcome, ...] = ("outside", "found", "nxdomain", "nodata", "servfail")
    if library == "musl":
        denied = next((outcome for outcome in found if outcome in ("nxdomain", "servfail")), None)
        order = ("outside", denied, "found", "nodata") if denied else order
    return next((outcome for outcome in order if outcome in found), "nxdomain")
