"""What differs, and which differences are intended: those that docs/differences-from-coredns.md explains by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).parents[2] / "docs" / "differences-from-coredns.md"
Side = dict[str, Any]
SECTIONS = ("answer", "authority", "additional")
_SIGNED = re.compile(r"( IN RRSIG \S+ \S+ \S+) \S+")
SEARCHED = "default.svc.cluster.local."
"""The first search domain of the pod that asks."""


@dataclass(slots=True)
class Difference:
    case: str
    question: str
    ours: Side
    theirs: Side

    @property
    def fields(self) -> set[str]:
        return {key for key in self.ours if self.ours[key] != self.theirs[key]}


def _is_mixed(text: str) -> bool:
    return text != text.lower()


def _differ_in_case_only(found: Difference) -> bool:
    return _lower(found.ours) == _lower(found.theirs)


def _lower(side: Side) -> Side:
    return {k: sorted(str(i).lower() for i in v) if isinstance(v, list) else str(v).lower() for k, v in side.items()}


def _is_own_name_failed_before(found: Difference) -> bool:
    """CoreDNS's cache keeps the failure for every spelling."""
    return found.case == "cache" and found.question.lower().startswith("ns.dns.") and _failed(found.theirs)


def _failed(side: Side) -> bool:
    return bool(side.get("rcode") == "SERVFAIL")


def _without_link_local(side: Side) -> Side:
    return {k: [i for i in v if "fe80::" not in str(i)] if isinstance(v, list) else v for k, v in side.items()}


def _is_of_hosts(name: str) -> bool:
    """Also where a search list put its first domain behind."""
    return name.removesuffix(SEARCHED).rstrip(".").endswith((".example", ".sub.test"))


def _without_original_ttl(side: Side) -> Side:
    return {k: [_SIGNED.sub(r"\1", i) for i in v] if k in SECTIONS else v for k, v in side.items()}


def _lacks_room(found: Difference) -> bool:
    """Over UDP the last signatures of a full reply are left out."""
    is_signed = found.case == "dnssec" and "want_dnssec" in found.question and found.question.endswith("over udp")
    return is_signed and found.fields == {"additional"} and " IN RRSIG SRV " in str(found.ours["answer"])


INTENDED: dict[str, Callable[[Difference], bool]] = {
    "original-ttl-of-signatures": lambda d: (
        d.case == "dnssec" and _without_original_ttl(d.ours) == _without_original_ttl(d.theirs)
    ),
    "signatures-without-room": _lacks_room,
    "apex-names-in-mixed-case": lambda d: (
        _is_own_name_failed_before(d)
        or (
            _is_mixed(d.question.split()[0])
            and (d.question.split()[1] == "NS" or d.question.lower().startswith("ns.dns."))
        )
    ),
    "link-local-name-servers": lambda d: "fe80::" not in str(d.ours) and _without_link_local(d.theirs) == d.ours,
    "transfer-below-a-zone": lambda d: (
        d.case == "transfer" and d.question.startswith("svc.cluster.local. ") and d.ours.get("rcode") == "REFUSED"
    ),
    "rewrite-spelling": lambda d: ".rw.test." in d.question.lower() and _differ_in_case_only(d),
    "hosts-spelling": lambda d: _is_of_hosts(d.question.split()[0].lower()) and _differ_in_case_only(d),
    "spelling-after-cache": lambda d: d.case == "cache" and _differ_in_case_only(d),
    "autopath-at-the-search-domain": lambda d: (
        d.case == "autopath" and d.question.lower().startswith(SEARCHED) and d.theirs.get("rcode") == "SERVFAIL"
    ),
}
"""Headings of docs/differences-from-coredns.md, and which differences they explain."""


def explain(found: Difference) -> str | None:
    return next((name for name, applies in INTENDED.items() if applies(found)), None)


def unexplained() -> list[str]:
    """Intended differences that the document does not name."""
    text = DOCUMENT.read_text()
    return [name for name in INTENDED if f"`{name}`" not in text]
