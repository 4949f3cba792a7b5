"""Which rule of an audit policy decides, and which policies are refused."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.api.audit.policy import PolicyError, parse_policy
from seamark.machinery.authorize import Attributes
from seamark.machinery.wire import Identity

BOB = Identity("bob", ("devs", "system:authenticated"))
PODS = Attributes("get", resource="pods", namespace="a", name="p")
LOG = Attributes("get", resource="pods", subresource="log", namespace="a", name="p")
DEPLOYMENTS = Attributes("list", "apps", "deployments")
HEALTH = Attributes("get", path="/healthz/ping")


def policy(*rules: dict[str, Any], **more: Any) -> Any:
    return parse_policy({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": list(rules), **more})


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        pytest.param({}, {PODS, LOG, DEPLOYMENTS, HEALTH}, id="everything"),
        pytest.param({"users": ["bob"]}, {PODS, LOG, DEPLOYMENTS, HEALTH}, id="user"),
        pytest.param({"users": ["jane"]}, set(), id="another-user"),
        pytest.param({"userGroups": ["x", "devs"]}, {PODS, LOG, DEPLOYMENTS, HEALTH}, id="group"),
        pytest.param({"userGroups": ["x"]}, set(), id="another-group"),
        pytest.param({"verbs": ["list"]}, {DEPLOYMENTS}, id="verb"),
        pytest.param({"namespaces": ["a"]}, {PODS, LOG}, id="namespace"),
        pytest.param({"namespaces": [""]}, {DEPLOYMENTS}, id="no-namespace"),
        pytest.param({"resources": [{"group": ""}]}, {PODS, LOG}, id="whole-group"),
        pytest.param({"resources": [{"group": "*", "resources": ["*"]}]}, {PODS, LOG, DEPLOYMENTS}, id="star"),
        pytest.param({"resources": [{"resources": ["pods"]}]}, {PODS}, id="no-subresource"),
        pytest.param({"resources": [{"resources": ["pods/log"]}]}, {LOG}, id="subresource"),
        pytest.param({"resources": [{"resources": ["pods/*"]}]}, {PODS, LOG}, id="all-of-a-resource"),
        pytest.param({"resources": [{"resources": ["*/log"]}]}, {LOG}, id="a-subresource-of-all"),
        pytest.param({"resources": [{"resources": ["pods"], "resourceNames": ["q"]}]}, set(), id="another-name"),
        pytest.param({"nonResourceURLs": ["/healthz*"]}, {HEALTH}, id="path"),
        pytest.param({"nonResourceURLs": ["/healthz"]}, set(), id="another-path"),
    ],
)
def test_what_a_rule_fits(rule: dict[str, Any], told: set[Attributes]) -> None:
    found = policy({"level": "Metadata", **rule})
    assert {a for a in (PODS, LOG, DEPLOYMENTS, HEALTH) if found.judge(BOB, a).level == "Metadata"} == told


def test_the_first_rule_that_fits_decides() -> None:
    found = policy(
        {"level": "None", "users": ["bob"], "verbs": ["get"]},
        {"level": "Request", "omitStages": ["RequestReceived"], "omitManagedFields": False},
        {"level": "RequestResponse"},
        omitStages=["Panic"],
        omitManagedFields=True,
    )
    assert found.judge(BOB, PODS).level == "None"
    assert found.judge(BOB, DEPLOYMENTS) == ("Request", {"RequestReceived", "Panic"}, False)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": []}, "at least one"),
        ({"apiVersion": "audit.k8s.io/v1beta1", "kind": "Policy", "rules": [{"level": "None"}]}, "is not audit.k8s.io"),
        ({"kind": "Policy", "rules": []}, "missing required field `apiVersion`"),
        ({"apiVersion": "audit.k8s.io/v1", "kind": "Event", "rules": []}, "kind"),
        ([], "Expected `object`"),
        (None, "Expected `object`"),
        ("level", r"\$.rules\[0\].level"),
        ({"level": "Metadata", "user": ["x"]}, "unknown field `user`"),
        ({"level": "Metadata", "omitStages": ["Later"]}, "omitStages"),
        ({"level": "Metadata", "nonResourceURLs": ["/a"], "namespaces": ["x"]}, "both resources and paths"),
        ({"level": "Metadata", "nonResourceURLs": ["a"]}, 'must begin with "/"'),
        ({"level": "Metadata", "nonResourceURLs": ["/a/*/b"]}, "only stand at the end"),
        ({"level": "Metadata", "resources": [{"group": "apps/v1"}]}, "without its version"),
        ({"level": "Metadata", "resources": [{"resourceNames": ["a"]}]}, "needs resources"),
    ],
)
def test_bad_policies_are_refused(value: Any, text: str) -> None:
    with pytest.raises(PolicyError, match=text):
        if isinstance(value, dict) and "level" in value:
            policy(value)
        elif value == "level":
            policy({"level": "Everything"})
        else:
            parse_policy(value)
