"""Rules of rbac.authorization.k8s.io, evaluated: does a rule allow a request, does one set of rules cover another?

A request is judged by its ``Attributes`` alone. A rule allows when its verbs, groups, resources and names all match,
or, for a path that is no resource, its verbs and URLs. Rules only ever allow; there is no rule that denies.
Facts: k8s.io/kubernetes pkg/apis/rbac/v1 (matching), k8s.io/component-helpers auth/rbac/validation (covering).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from seamark.machinery.status import StatusError, forbidden

ALL = "*"


class Attributes(NamedTuple):
    """What is asked, without who asks. ``resource`` empty = a path that is no resource, named by ``path``."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    field_selector: str = ""

    @property
    def combined(self) -> str:
        """``pods``, ``pods/log``: how rules name a resource."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


class Rule(NamedTuple):
    """One PolicyRule. ``names`` empty = objects of every name."""

    verbs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, list[str]]:
        fields = zip(_FIELDS, (self.verbs, self.groups, self.resources, self.names, self.urls), strict=True)
        return {field: list(values) for field, values in fields if values}

    def __str__(self) -> str:
        """``{APIGroups:[""], Resources:["pods"], Verbs:["get"]}``, as messages about escalation show it."""
        shown = (
            ("APIGroups", self.groups),
            ("Resources", self.resources),
            ("NonResourceURLs", self.urls),
            ("ResourceNames", self.names),
            ("Verbs", self.verbs),
        )
        return "{" + ", ".join(f"{name}:{quoted_list(values)}" for name, values in shown if values) + "}"


_FIELDS = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")

FULL_AUTHORITY = (Rule((ALL,), (ALL,), (ALL,)), Rule((ALL,), urls=(ALL,)))


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def quoted_list(values: Iterable[str]) -> str:
    """``["a" "b"]``: Go's %q of a list."""
    return "[" + " ".join(quoted(value) for value in values) + "]"


def parse_rule(rule: Mapping[str, Any]) -> Rule:
    return Rule(*(tuple(str(v) for v in rule.get(field) or ()) for field in _FIELDS))


def parse_rules(rules: Iterable[Mapping[str, Any]] | None) -> tuple[Rule, ...]:
    return tuple(parse_rule(rule) for rule in rules or ())


def matches(rule: Rule, asked: Attributes) -> bool:
    """Whether the rule allows what is asked, for objects of the names it gives (``rule.names``)."""
    if ALL not in rule.verbs and asked.verb not in rule.verbs:
        return False
    if not asked.resource:
        return any(_url_covers(url, asked.path) for url in rule.urls)
    if ALL not in rule.groups and asked.group not in rule.groups:
        return False
    resources = rule.resources
    if ALL in resources or asked.combined in resources:
        return True
    return bool(asked.subresource) and f"*/{asked.subresource}" in resources


def allows(rule: Rule, asked: Attributes) -> bool:
    """The whole question: ``matches``, and the name is one of the rule's."""
    named = not asked.resource or not rule.names or asked.name in rule.names
    return named and matches(rule, asked)


def _url_covers(url: str, path: str) -> bool:
    return url in (ALL, path) or (url.endswith(ALL) and path.startswith(url.rstrip(ALL)))


def demanded(selector: str, label: str) -> str:
    """The value that a fieldSelector demands of ``label`` by equality, empty where it does not."""
    if not selector or "\\" in selector:
        return ""
    for term in selector.split(","):
        found, sign, value = term.partition("=")
        if sign and found == label:
            return value.removeprefix("=")
    return ""


def break_down(rule: Rule) -> list[Rule]:
    """The rule as rules of one verb and one resource (and one name) or one URL each."""
    found = [
        Rule((verb,), (group,), (resource,), names)
        for group in rule.groups
        for resource in rule.resources
        for verb in rule.verbs
        for names in (((name,) for name in rule.names) if rule.names else ((),))
    ]
    return found + [Rule((verb,), urls=(url,)) for url in rule.urls for verb in rule.verbs]


def uncovered(owned: Sequence[Rule], wanted: Iterable[Rule]) -> list[Rule]:
    """What of ``wanted`` no single rule of ``owned`` allows; empty = whoever has ``owned`` may hand out ``wanted``."""
    parts = [part for rule in wanted for part in break_down(rule)]
    return [part for part in parts if not any(_covers(rule, part) for rule in owned)]


def _covers(owner: Rule, part: Rule) -> bool:
    """``part`` is one of ``break_down``."""
    if not _has(owner.verbs, part.verbs):
        return False
    if part.urls:
        return any(url == part.urls[0] or _url_covers(url, part.urls[0]) for url in owner.urls)
    if owner.names and (not part.names or part.names[0] not in owner.names):
        return False
    resource = part.resources[0]
    _, slash, subresource = resource.partition("/")
    fitting = _has(owner.resources, (resource,)) or (bool(slash) and f"*/{subresource}" in owner.resources)
    return fitting and _has(owner.groups, part.groups)


def _has(owned: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    return ALL in owned or wanted[0] in owned


def compact(parts: Iterable[Rule]) -> list[Rule]:
    """Puts together again what differs by verb alone, for a message somebody has to read."""
    verbs: dict[Rule, tuple[str, ...]] = {}
    for part in parts:
        key = part if part.urls else part._replace(verbs=())
        verbs[key] = verbs.get(key, ()) + part.verbs
    return [key if key.urls else key._replace(verbs=found) for key, found in verbs.items()]


def escalation(user: str, groups: Sequence[str], missing: Iterable[Rule]) -> str:
    """Why somebody may not grant ``missing``, in Kubernetes' words."""
    listed = "\n".join(sorted({str(rule) for rule in compact(missing)}))
    who = f"user {quoted(user)} (groups={quoted_list(groups)})"
    return f"{who} is attempting to grant RBAC permissions not currently held:\n{listed}"


def refuse(user: str, asked: Attributes, reason: str = "") -> StatusError:
    """The 403 that says who could not do what. Nothing in it can be taken for HTML."""
    if not asked.resource:
        what = f"path {quoted(asked.path)}"
    else:
        where = f"in the namespace {quoted(asked.namespace)}" if asked.namespace else "at the cluster scope"
        what = f"resource {quoted(asked.combined)} in API group {quoted(asked.group)} {where}"
    why = f"User {quoted(user)} cannot {asked.verb} {what}"
    why = why.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    why = f"{why}: {reason}" if reason else why
    if not asked.resource:
        return StatusError(403, "Forbidden", f"forbidden: {why}", details={})
    return forbidden(asked.resource, asked.name, why, group=asked.group)
