"""Rules against requests, and rules against rules, as tables."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.machinery.authorize import (
    FULL_AUTHORITY,
    Attributes,
    Rule,
    allows,
    break_down,
    compact,
    demanded,
    escalation,
    parse_rule,
    refuse,
    uncovered,
)


def rule(verbs: str, groups: str = "", resources: str = "", *, names: str = "", urls: str = "") -> Rule:
    """Words separated by blanks; ``core`` is the empty group."""
    split = [tuple("" if word == "core" else word for word in text.split()) for text in (verbs, groups, resources)]
    return Rule(*split, tuple(names.split()), tuple(urls.split()))


READ_PODS = rule("get list", "core", "pods")

ALLOWED = [
    (READ_PODS, Attributes("get", resource="pods", name="x"), True, "verb, group and resource"),
    (READ_PODS, Attributes("delete", resource="pods", name="x"), False, "another verb"),
    (READ_PODS, Attributes("get", "apps", "pods"), False, "another group"),
    (READ_PODS, Attributes("get", resource="services"), False, "another resource"),
    (READ_PODS, Attributes("get", resource="pods", subresource="log"), False, "a subresource is not its resource"),
    (rule("get", "core", "pods/log"), Attributes("get", resource="pods", subresource="log"), True, "a subresource"),
    (rule("get", "core", "pods/log"), Attributes("get", resource="pods"), False, "a resource is not its subresource"),
    (rule("*", "core", "pods"), Attributes("anything", resource="pods"), True, "every verb"),
    (rule("get", "*", "deployments"), Attributes("get", "apps", "deployments"), True, "every group"),
    (rule("get", "core", "*"), Attributes("get", resource="pods", subresource="log"), True, "every resource"),
    (
        rule("update", "*", "*/scale"),
        Attributes("update", "apps", "deployments", "scale"),
        True,
        "one subresource of all",
    ),
    (rule("update", "*", "*/scale"), Attributes("update", "apps", "deployments"), False, "*/scale is not the object"),
    (rule("update", "*", "*/scale"), Attributes("update", "apps", "deployments", "status"), False, "nor another one"),
    (
        rule("get", "core", "pods/*"),
        Attributes("get", resource="pods", subresource="log"),
        False,
        "pods/* means nothing",
    ),
    (rule("get", "core", "secrets", names="a b"), Attributes("get", resource="secrets", name="b"), True, "by name"),
    (
        rule("get", "core", "secrets", names="a b"),
        Attributes("get", resource="secrets", name="c"),
        False,
        "not its name",
    ),
    (rule("list", "core", "secrets", names="a"), Attributes("list", resource="secrets"), False, "a list has no name"),
    (rule("get", urls="/healthz"), Attributes("get", path="/healthz"), True, "a path"),
    (rule("get", urls="/healthz"), Attributes("get", path="/healthz/ping"), False, "a path is not what is below it"),
    (rule("get", urls="/healthz/*"), Attributes("get", path="/healthz/ping"), True, "what is below a path"),
    (rule("get", urls="/healthz/*"), Attributes("get", path="/healthz"), False, "which is not the path itself"),
    (rule("get", urls="/log*"), Attributes("get", path="/logs/a"), True, "a prefix"),
    (rule("*", urls="*"), Attributes("post", path="/anything"), True, "every path"),
    (rule("*", urls="*"), Attributes("get", resource="pods"), False, "paths are no resources"),
    (FULL_AUTHORITY[0], Attributes("get", path="/metrics"), False, "resources are no paths"),
    (FULL_AUTHORITY[0], Attributes("get", "x", "y", "z", "ns", "name"), True, "everything there is"),
    (Rule(), Attributes("get", resource="pods"), False, "an empty rule"),
]


@pytest.mark.parametrize(("given", "asked", "wanted"), [c[:3] for c in ALLOWED], ids=[c[3] for c in ALLOWED])
def test_allows(given: Rule, asked: Attributes, wanted: bool) -> None:
    assert allows(given, asked) is wanted


COVERED = [
    ([READ_PODS], [READ_PODS], [], "itself"),
    ([rule("get", "core", "pods"), rule("list", "core", "pods")], [READ_PODS], [], "put together"),
    ([rule("get", "core", "pods")], [READ_PODS], [rule("list", "core", "pods")], "half of it"),
    ([rule("*", "*", "*")], [rule("get", "core apps", "pods pods/log", names="a")], [], "stars"),
    (
        [rule("get", "core", "pods")],
        [rule("*", "core", "pods")],
        [rule("*", "core", "pods")],
        "a star is more than all",
    ),
    ([rule("get", "*", "*/scale")], [rule("get", "apps", "deployments/scale")], [], "a subresource of all"),
    (
        [rule("get", "core", "secrets", names="a b")],
        [rule("get", "core", "secrets", names="b c")],
        [rule("get", "core", "secrets", names="c")],
        "names one by one",
    ),
    (
        [rule("get", "core", "secrets", names="a")],
        [rule("get", "core", "secrets")],
        [rule("get", "core", "secrets")],
        "names are less than all",
    ),
    ([rule("get", "core", "secrets")], [rule("get", "core", "secrets", names="a")], [], "all are more than names"),
    ([rule("get", urls="/api/*")], [rule("get", urls="/api/v1 /api/*")], [], "paths below"),
    ([rule("get", urls="/api/*")], [rule("get", urls="/api")], [rule("get", urls="/api")], "not the path itself"),
    ([rule("*", urls="*")], [rule("get", urls="/x*")], [], "every path"),
    ([*FULL_AUTHORITY], [*FULL_AUTHORITY], [], "everything"),
    ([FULL_AUTHORITY[0]], [*FULL_AUTHORITY], [FULL_AUTHORITY[1]], "everything but paths"),
    ([], [Rule(("get",))], [], "a rule about nothing"),
]


@pytest.mark.parametrize(("owned", "wanted", "missing"), [c[:3] for c in COVERED], ids=[c[3] for c in COVERED])
def test_uncovered(owned: list[Rule], wanted: list[Rule], missing: list[Rule]) -> None:
    assert uncovered(owned, wanted) == missing


def test_a_covered_rule_allows_nothing_that_its_owner_may_not() -> None:
    """The check against escalation and the decision agree, on every combination of a few words."""
    words: dict[str, tuple[str, ...]] = {
        "verbs": ("get", "*"),
        "groups": ("", "*"),
        "resources": ("a", "a/s", "*/s", "*"),
    }
    rules = [
        Rule((verb,), (group,), (resource,), names)
        for verb in words["verbs"]
        for group in words["groups"]
        for resource in words["resources"]
        for names in ((), ("n",))
    ]
    asked = [
        Attributes(verb, group, "a", sub, "", name)
        for verb in ("get", "list")
        for group in ("", "g")
        for sub in ("", "s", "t")
        for name in ("", "n", "m")
    ]
    for owner in rules:
        for part in rules:
            if not uncovered([owner], [part]):
                assert all(allows(owner, one) for one in asked if allows(part, one)), (owner, part)


def test_rules_come_apart_and_together() -> None:
    whole = rule("get list", "core", "pods services")
    parts = break_down(whole)
    assert len(parts) == 4 and break_down(rule("get", urls="/a /b")) == [rule("get", urls="/a"), rule("get", urls="/b")]
    assert compact(parts) == [rule("get list", "core", "pods"), rule("get list", "core", "services")]


def test_escalation_in_kubernetes_words() -> None:
    missing = uncovered([], [rule("get list", "core", "pods"), rule("get", urls="/metrics")])
    assert escalation("jane", ("devs", "system:authenticated"), missing) == (
        'user "jane" (groups=["devs" "system:authenticated"]) is attempting to grant RBAC permissions not currently '
        "held:\n"
        '{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}\n'
        '{NonResourceURLs:["/metrics"], Verbs:["get"]}'
    )


@pytest.mark.parametrize(
    ("asked", "reason", "message", "details"),
    [
        (
            Attributes("get", resource="pods", namespace="ns", name="x"),
            "",
            'pods "x" is forbidden: User "u" cannot get resource "pods" in API group "" in the namespace "ns"',
            {"name": "x", "kind": "pods"},
        ),
        (
            Attributes("list", "apps", "deployments"),
            "",
            'deployments.apps is forbidden: User "u" cannot list resource "deployments" in API group "apps" at the '
            "cluster scope",
            {"group": "apps", "kind": "deployments"},
        ),
        (
            Attributes("create", resource="pods", subresource="exec", namespace="ns", name="x"),
            'RBAC: role.rbac.authorization.k8s.io "r" not found',
            'pods "x" is forbidden: User "u" cannot create resource "pods/exec" in API group "" in the namespace "ns": '
            'RBAC: role.rbac.authorization.k8s.io "r" not found',
            {"name": "x", "kind": "pods"},
        ),
        (Attributes("get", path="/<api>"), "", 'forbidden: User "u" cannot get path "/&lt;api&gt;"', {}),
    ],
)
def test_refusals(asked: Attributes, reason: str, message: str, details: dict[str, Any]) -> None:
    error = refuse("u", asked, reason)
    assert (error.code, error.reason, error.message, error.details) == (403, "Forbidden", message, details)


def test_rules_as_objects() -> None:
    obj = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]}
    assert parse_rule(obj).as_dict() == obj
    assert parse_rule({"verbs": ["get"], "nonResourceURLs": ["/x"], "resources": None}) == rule("get", urls="/x")


@pytest.mark.parametrize(
    ("selector", "value"),
    [
        ("metadata.name=a", "a"),
        ("metadata.name==a", "a"),
        ("x=y,metadata.name=a", "a"),
        ("metadata.name!=a", ""),
        ("metadata.namespace=a", ""),
        ("", ""),
        ("metadata.name=a\\,b", ""),
    ],
)
def test_what_a_selector_demands(selector: str, value: str) -> None:
    assert demanded(selector, "metadata.name") == value
