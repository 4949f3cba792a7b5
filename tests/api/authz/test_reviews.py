"""The questions about who may do what, answered as requests are decided."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.machinery.wire import Identity

ADMIN = Identity("root", ("system:masters",))
JANE = Identity("jane", ("devs", "system:authenticated"))
PATH = "/apis/authorization.k8s.io/v1"
LOCAL = f"{PATH}/namespaces/default/localsubjectaccessreviews"
PODS = {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}
GET_PODS = {"verb": "get", "resource": "pods", "namespace": "default"}


async def test_may_i(ask: Any, grant: Any) -> None:
    path = f"{PATH}/selfsubjectaccessreviews"
    status, body = await ask(JANE, "POST", path, body={"spec": {"resourceAttributes": GET_PODS}})
    assert (status, body["status"]) == (201, {"allowed": False})
    await grant("jane", PODS)
    _, body = await ask(JANE, "POST", path, body={"spec": {"resourceAttributes": GET_PODS}})
    reason = 'RBAC: allowed by RoleBinding "of-jane/default" of ClusterRole "of-jane" to User "jane"'
    assert body["status"] == {"allowed": True, "reason": reason}
    asked = {"nonResourceAttributes": {"verb": "get", "path": "/api"}}
    assert (await ask(JANE, "POST", path, body={"spec": asked}))[1]["status"]["allowed"] is True
    for wrong, why in (
        ({}, "spec.resourceAttributes: Invalid value: null: exactly one of"),
        ({**asked, "resourceAttributes": {}}, "cannot be specified in combination with resourceAttributes"),
    ):
        status, body = await ask(JANE, "POST", path, body={"spec": wrong})
        assert status == 422 and why in body["message"]


async def test_may_somebody(ask: Any, grant: Any) -> None:
    path = f"{PATH}/subjectaccessreviews"
    spec = {"resourceAttributes": GET_PODS, "user": "jane", "groups": ["devs"]}
    assert (await ask(JANE, "POST", path, body={"spec": spec}))[0] == 403
    assert (await ask(ADMIN, "POST", path, body={"spec": spec}))[1]["status"]["allowed"] is False
    await grant("jane", PODS)
    assert (await ask(ADMIN, "POST", path, body={"spec": spec}))[1]["status"]["allowed"] is True
    node = {
        "user": "system:node:n1",
        "groups": ["system:nodes"],
        "resourceAttributes": {"verb": "list", "resource": "nodes"},
    }
    status = (await ask(ADMIN, "POST", path, body={"spec": node}))[1]["status"]
    assert status == {"allowed": False, "reason": "node 'n1' cannot read all nodes, only its own Node object"}
    selector = {"requirements": [{"key": "spec.nodeName", "operator": "In", "values": ["n1"]}]}
    node["resourceAttributes"] = {"verb": "list", "resource": "pods", "fieldSelector": selector}
    assert (await ask(ADMIN, "POST", path, body={"spec": node}))[1]["status"]["allowed"] is True
    status, body = await ask(ADMIN, "POST", path, body={"spec": {"resourceAttributes": GET_PODS}})
    assert status == 422 and "at least one of user or group must be specified" in body["message"]
    status, body = await ask(ADMIN, "POST", path, body={"metadata": {"name": "x"}, "spec": spec})
    assert status == 422 and "metadata: Invalid value" in body["message"] and "must be empty" in body["message"]


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"resourceAttributes": GET_PODS, "user": "jane"}, ""),
        ({"resourceAttributes": {**GET_PODS, "namespace": "x"}, "user": "jane"}, "must match metadata.namespace"),
        ({"nonResourceAttributes": {"verb": "get", "path": "/"}, "user": "jane"}, "disallowed on this kind of request"),
    ],
)
async def test_in_one_namespace(ask: Any, spec: Any, why: str) -> None:
    status, body = await ask(ADMIN, "POST", LOCAL, body={"spec": spec})
    assert status == (422 if why else 201) and why in body.get("message", "")


async def test_what_may_i(ask: Any, grant: Any) -> None:
    path = f"{PATH}/selfsubjectrulesreviews"
    await grant("jane", PODS)
    _, body = await ask(JANE, "POST", path, body={"spec": {"namespace": "default"}})
    assert PODS in body["status"]["resourceRules"] and body["status"]["incomplete"] is False
    assert all("nonResourceURLs" in rule for rule in body["status"]["nonResourceRules"])
    _, body = await ask(JANE, "POST", path, body={"spec": {"namespace": "other"}})
    assert PODS not in body["status"]["resourceRules"]
    status, body = await ask(JANE, "POST", path, body={"spec": {}})
    assert (status, body["message"]) == (400, "no namespace on request")
    node = Identity("system:node:n1", ("system:nodes", "system:authenticated"))
    _, body = await ask(node, "POST", path, body={"spec": {"namespace": "default"}})
    assert body["status"]["incomplete"] is True and "node authorizer" in body["status"]["evaluationError"]
