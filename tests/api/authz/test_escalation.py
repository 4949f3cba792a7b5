"""Nobody grants what they lack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from seamark.client.client import Client
from seamark.machinery.gvr import CLUSTERROLEBINDINGS, CLUSTERROLES, ROLEBINDINGS, ROLES
from seamark.machinery.status import StatusError

RBAC = {"verbs": ["*"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"]}
PODS = {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}
SECRETS = {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]}


def role(name: str, *rules: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}, "rules": list(rules)}


def binding(name: str, role: str, kind: str = "ClusterRole") -> dict[str, Any]:
    ref = {"kind": kind, "name": role, "apiGroup": "rbac.authorization.k8s.io"}
    meta = {"name": name, "namespace": "default"}
    return {"metadata": meta, "roleRef": ref, "subjects": [{"kind": "User", "name": "jane"}]}


WRITE_ROLES = {
    "verbs": ["create", "update", "patch", "get"],
    "apiGroups": ["rbac.authorization.k8s.io"],
    "resources": ["roles"],
}
WRITE_BINDINGS = {**WRITE_ROLES, "resources": ["rolebindings"]}


async def test_a_role_holds_what_its_writer_has(user: Callable[..., Client], grant: Any) -> None:
    await grant("jane", WRITE_ROLES, PODS)
    jane = user("jane", "devs")
    await jane.create(ROLES, role("mine", PODS))
    with pytest.raises(StatusError) as refused:
        await jane.create(ROLES, role("more", PODS, SECRETS, {**PODS, "verbs": ["delete"]}))
    assert (refused.value.code, refused.value.message) == (
        403,
        'roles.rbac.authorization.k8s.io "more" is forbidden: user "jane" (groups=["devs" "system:authenticated"]) is '
        "attempting to grant RBAC permissions not currently held:\n"
        '{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}\n'
        '{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}',
    )
    for write in (
        lambda: jane.patch(ROLES, "mine", {"rules": [SECRETS]}, namespace="default"),
        lambda: jane.update(ROLES, role("mine", SECRETS)),
    ):
        with pytest.raises(StatusError, match="attempting to grant"):
            await write()
    await jane.patch(
        ROLES, "mine", {"metadata": {"ownerReferences": None, "finalizers": ["a.b/c"]}}, namespace="default"
    )
    assert (await jane.get(ROLES, "mine", namespace="default"))["rules"] == [PODS]


async def test_the_collector_may_touch_what_it_could_not_grant(
    user: Callable[..., Client], grant: Any, client: Client
) -> None:
    await grant("jane", WRITE_ROLES)
    await client.create(ROLES, role("strong", SECRETS))
    jane = user("jane")
    await jane.patch(ROLES, "strong", {"metadata": {"finalizers": ["a.b/c"]}}, namespace="default")
    with pytest.raises(StatusError, match="attempting to grant"):
        await jane.patch(ROLES, "strong", {"metadata": {"labels": {"a": "b"}}}, namespace="default")


async def test_escalate_is_a_right_of_its_own(user: Callable[..., Client], grant: Any) -> None:
    await grant("jane", {**WRITE_ROLES, "verbs": ["create", "escalate"]})
    await user("jane").create(ROLES, role("more", SECRETS))


async def test_a_binding_gives_what_its_writer_has(user: Callable[..., Client], grant: Any, client: Client) -> None:
    await grant("jane", WRITE_BINDINGS, PODS)
    for name, rule in (("pods", PODS), ("secrets", SECRETS)):
        await client.create(CLUSTERROLES, {"metadata": {"name": name}, "rules": [rule]})
    jane = user("jane")
    await jane.create(ROLEBINDINGS, binding("ok", "pods"))
    with pytest.raises(
        StatusError, match=r'rolebindings.rbac.authorization.k8s.io "no" is forbidden: user "jane" .*\n.*secrets'
    ):
        await jane.create(ROLEBINDINGS, binding("no", "secrets"))
    with pytest.raises(StatusError, match=r'clusterroles.rbac.authorization.k8s.io "nosuch" not found') as missing:
        await jane.create(ROLEBINDINGS, binding("no", "nosuch"))
    assert missing.value.code == 404
    with pytest.raises(StatusError, match="cannot create resource"):
        await jane.create(CLUSTERROLEBINDINGS, binding("all", "pods"))


async def test_bind_is_a_right_of_its_own(user: Callable[..., Client], grant: Any, client: Client) -> None:
    bind = {"verbs": ["bind"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"]}
    await grant("jane", WRITE_BINDINGS, {**bind, "resourceNames": ["secrets"]})
    for name in ("secrets", "others"):
        await client.create(CLUSTERROLES, {"metadata": {"name": name}, "rules": [SECRETS]})
    with pytest.raises(StatusError, match="attempting to grant"):
        await user("jane").create(ROLEBINDINGS, binding("no", "others"))
    await user("jane").create(ROLEBINDINGS, binding("ok", "secrets"))


async def test_aggregation_takes_everything(user: Callable[..., Client], client: Client) -> None:
    rules = [{"verbs": ["create"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"]}]
    await client.create(CLUSTERROLES, {"metadata": {"name": "maker"}, "rules": rules})
    made = binding("maker", "maker")
    del made["metadata"]["namespace"]
    await client.create(CLUSTERROLEBINDINGS, made)
    selector = {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}
    with pytest.raises(StatusError, match="must have cluster-admin privileges to use the aggregationRule"):
        await user("jane").create(
            CLUSTERROLES, {"metadata": {"name": "all"}, "aggregationRule": selector, "rules": None}
        )
    await client.create(CLUSTERROLES, {"metadata": {"name": "all"}, "aggregationRule": selector, "rules": None})


async def test_the_role_of_a_binding_is_for_good(client: Client) -> None:
    await client.create(ROLEBINDINGS, binding("b", "view"))
    with pytest.raises(StatusError) as refused:
        await client.update(ROLEBINDINGS, binding("b", "edit"))
    assert refused.value.message == (
        'RoleBinding.rbac.authorization.k8s.io "b" is invalid: roleRef: Invalid value: '
        '{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"edit"}: cannot change roleRef'
    )
