"""The index over roles and bindings: whom it lets do what, and that it follows every change."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.api.authz.rbac import PREFIX, RbacIndex
from seamark.machinery.authorize import Attributes
from seamark.machinery.status import StatusError

Obj = dict[str, Any]
READ_PODS = {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}
GET_PODS = Attributes("get", "", "pods", "", "ns", "x")


def subject(text: str) -> Obj:
    kind, _, name = text.partition(" ")
    namespace, slash, short = name.rpartition("/")
    return {"kind": kind, "name": short, **({"namespace": namespace} if slash else {})}


def put_role(index: RbacIndex, name: str, *rules: Obj, namespace: str = "") -> None:
    key = f"{PREFIX}roles/{namespace}/{name}" if namespace else f"{PREFIX}clusterroles/{name}"
    index.put(key, {"metadata": {"name": name, "namespace": namespace}, "rules": list(rules)})


def put_binding(index: RbacIndex, name: str, role: str, *subjects: str, namespace: str = "") -> None:
    kind, _, role_name = role.partition(" ")
    key = f"{PREFIX}rolebindings/{namespace}/{name}" if namespace else f"{PREFIX}clusterrolebindings/{name}"
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    ref = {"kind": kind, "name": role_name}
    index.put(key, {"metadata": meta, "roleRef": ref, "subjects": [subject(s) for s in subjects]})


@pytest.fixture
def index() -> RbacIndex:
    return RbacIndex()


ACCOUNT = "system:serviceaccount:ns:web"

WHO = [
    ("User jane", "", ("jane", ()), True),
    ("User jane", "", ("john", ("jane",)), False),
    ("Group devs", "", ("john", ("ops", "devs")), True),
    ("Group devs", "", ("devs", ()), False),
    ("ServiceAccount ns/web", "", (ACCOUNT, ()), True),
    ("ServiceAccount other/web", "", (ACCOUNT, ()), False),
    ("User system:serviceaccount:ns:web", "", (ACCOUNT, ()), True),
    ("ServiceAccount web", "ns", (ACCOUNT, ()), True),
    ("ServiceAccount web", "", (ACCOUNT, ()), False),
    ("User jane", "ns", ("jane", ()), True),
    ("User jane", "other", ("jane", ()), False),
    ("Robot jane", "", ("jane", ()), False),
]


@pytest.mark.parametrize(
    ("given", "namespace", "who", "wanted"), WHO, ids=[f"{s} in {n or 'all'}: {w[0]}" for s, n, w, _ in WHO]
)
def test_subjects(index: RbacIndex, given: str, namespace: str, who: Any, wanted: bool) -> None:
    put_role(index, "reader", READ_PODS)
    put_binding(index, "b", "ClusterRole reader", given, namespace=namespace)
    assert index.allowed(*who, GET_PODS) is wanted
    assert index.explain(*who, GET_PODS)[0] is wanted


def test_a_role_counts_in_its_namespace_alone(index: RbacIndex) -> None:
    put_role(index, "r", READ_PODS, namespace="ns")
    put_binding(index, "b", "Role r", "User jane", namespace="ns")
    put_binding(index, "b", "Role r", "User jane", namespace="other")  # no such role there
    assert index.allowed("jane", (), GET_PODS)
    assert not index.allowed("jane", (), GET_PODS._replace(namespace="other"))
    assert not index.allowed("jane", (), GET_PODS._replace(namespace=""))


def test_names(index: RbacIndex) -> None:
    put_role(index, "a", {**READ_PODS, "resourceNames": ["x"]})
    put_role(index, "b", {**READ_PODS, "resourceNames": ["y"]})
    for role in "ab":
        put_binding(index, role, f"ClusterRole {role}", "User jane")
    asked = [GET_PODS._replace(name=name) for name in ("x", "y", "z", "")]
    assert [index.allowed("jane", (), one) for one in asked] == [True, True, False, False]
    assert [index.explain("jane", (), one)[0] for one in asked] == [True, True, False, False]
    put_role(index, "b", READ_PODS)
    assert all(index.allowed("jane", (), one) for one in asked)


def test_follows_every_change(index: RbacIndex) -> None:
    def may() -> bool:
        return index.allowed("jane", ("devs",), GET_PODS)

    assert not may()
    put_binding(index, "b", "ClusterRole reader", "Group devs")
    assert not may()
    put_role(index, "reader", READ_PODS)
    assert may()
    put_role(index, "reader")
    assert not may()
    put_role(index, "reader", READ_PODS)
    put_binding(index, "b", "ClusterRole reader", "Group ops")
    assert not may()
    put_binding(index, "b", "ClusterRole reader", "User x", "Group devs")
    assert may()
    index.drop(f"{PREFIX}clusterroles/reader")
    assert not may()
    put_role(index, "reader", READ_PODS)
    assert may()
    index.drop(f"{PREFIX}clusterrolebindings/b")
    assert not may()
    index.drop(f"{PREFIX}clusterrolebindings/b")
    assert index._by_subject == {} and index._bindings == {}


def test_paths(index: RbacIndex) -> None:
    put_role(index, "d", {"verbs": ["get"], "nonResourceURLs": ["/api", "/api/*"]})
    put_binding(index, "d", "ClusterRole d", "Group system:authenticated")
    who = ("jane", ("system:authenticated",))
    assert index.allowed(*who, Attributes("get", path="/api/v1"))
    assert not index.allowed(*who, Attributes("post", path="/api/v1"))
    assert not index.allowed(*who, Attributes("get", path="/apis"))


def test_reasons(index: RbacIndex) -> None:
    put_role(index, "reader", READ_PODS)
    put_binding(index, "b", "ClusterRole reader", "User x", "ServiceAccount web", namespace="ns")
    put_binding(index, "a", "ClusterRole reader", "Group devs")
    assert index.explain("jane", ("devs",), GET_PODS) == (
        True,
        'RBAC: allowed by ClusterRoleBinding "a" of ClusterRole "reader" to Group "devs"',
    )
    assert index.explain(ACCOUNT, (), GET_PODS) == (
        True,
        'RBAC: allowed by RoleBinding "b/ns" of ClusterRole "reader" to ServiceAccount "web/ns"',
    )
    index.drop(f"{PREFIX}clusterroles/reader")
    assert index.explain("jane", ("devs",), GET_PODS) == (
        False,
        'RBAC: clusterrole.rbac.authorization.k8s.io "reader" not found',
    )
    put_binding(index, "c", "Role r", "User jane", namespace="ns")
    assert index.explain("jane", ("devs",), GET_PODS) == (
        False,
        'RBAC: [clusterrole.rbac.authorization.k8s.io "reader" not found, '
        'role.rbac.authorization.k8s.io "r" not found]',
    )
    with pytest.raises(StatusError, match=r'clusterroles.rbac.authorization.k8s.io "reader" not found'):
        index.role_rules("ClusterRole", "reader", "ns")


def test_what_is_remembered_is_bounded(index: RbacIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seamark.api.authz.rbac._REMEMBERED", 8)
    for i in range(50):
        assert not index.allowed("jane", (), Attributes("get", path=f"/{i}"))
        assert not index.allowed("jane", (), Attributes("get", path=f"/{i}" + "x" * 300))
    assert len(index._remembered) <= 8
