"""The roles every cluster has: made at the first start, kept up to date at the next, never taken from anybody."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.api.app import Api
from seamark.api.authz.defaults import AUTOUPDATE, MANAGER_ROLE, default_objects, must_remake, plan_default
from seamark.client.client import Client
from seamark.machinery.authorize import Attributes, parse_rules
from seamark.machinery.gvr import CLUSTERROLEBINDINGS, CLUSTERROLES, ROLEBINDINGS, ROLES
from seamark.machinery.jsonvalue import copy_json
from seamark.machinery.wire import AUTHENTICATED, Identity
from seamark.resources.table import build_registry

Obj = dict[str, Any]
BY_NAME = {(o["kind"], o["metadata"]["name"]): o for o in default_objects()}


def test_they_are_valid_and_refer_to_one_another() -> None:
    rows = {row.gvr.kind: row for row in build_registry().rows}
    made: set[tuple[str, str, str]] = set()
    for obj in default_objects():
        row, namespace = rows[obj["kind"]], obj["metadata"].get("namespace", "")
        assert row.validate is not None
        assert row.validate(copy_json(obj)) == [], obj["metadata"]["name"]
        if "roleRef" in obj:
            ref = obj["roleRef"]
            assert (ref["kind"], namespace if ref["kind"] == "Role" else "", ref["name"]) in made
        made.add((obj["kind"], namespace, obj["metadata"]["name"]))
    assert len(made) == len(default_objects()) > 130


def test_those_that_users_know_are_there() -> None:
    for name in ("cluster-admin", "admin", "edit", "view", "system:node", "system:discovery", "system:basic-user"):
        assert BY_NAME["ClusterRole", name]["metadata"]["annotations"] == {AUTOUPDATE: "true"}
    assert BY_NAME["ClusterRole", "view"]["aggregationRule"]["clusterRoleSelectors"]
    subjects = BY_NAME["ClusterRoleBinding", "cluster-admin"]["subjects"]
    assert [s["name"] for s in subjects] == ["system:masters"]


CLUSTER_ADMIN = BY_NAME["ClusterRole", "cluster-admin"]
DISCOVERY = BY_NAME["ClusterRoleBinding", "system:discovery"]
EXTRA = {"apiGroups": ["x"], "resources": ["y"], "verbs": ["get"]}


def changed(obj: Obj, *path: str, to: Any) -> Obj:
    new = copy_json(obj)
    at = new
    for field in path[:-1]:
        at = at[field]
    at[path[-1]] = to
    return new


def test_what_is_as_it_should_be_stays() -> None:
    for obj in default_objects():
        assert plan_default(obj, obj) is None
    assert plan_default(changed(CLUSTER_ADMIN, "rules", to=[EXTRA, *CLUSTER_ADMIN["rules"]]), CLUSTER_ADMIN) is None
    own = changed(CLUSTER_ADMIN, "metadata", "labels", to={**CLUSTER_ADMIN["metadata"]["labels"], "mine": "1"})
    assert plan_default(own, CLUSTER_ADMIN) is None


@pytest.mark.parametrize(
    ("existing", "wanted", "field", "value"),
    [
        (changed(CLUSTER_ADMIN, "rules", to=[EXTRA]), CLUSTER_ADMIN, ("rules", 0), EXTRA),
        (changed(CLUSTER_ADMIN, "rules", to=None), CLUSTER_ADMIN, ("rules", 1), CLUSTER_ADMIN["rules"][1]),
        (changed(DISCOVERY, "subjects", to=[{"kind": "User", "name": "x"}]), DISCOVERY, ("subjects", 0, "name"), "x"),
        (changed(DISCOVERY, "subjects", to=None), DISCOVERY, ("subjects", 0, "name"), AUTHENTICATED),
        (
            changed(CLUSTER_ADMIN, "metadata", "labels", to=None),
            CLUSTER_ADMIN,
            ("metadata", "labels", "kubernetes.io/bootstrapping"),
            "rbac-defaults",
        ),
    ],
)
def test_what_is_missing_is_added(existing: Obj, wanted: Obj, field: tuple[Any, ...], value: Any) -> None:
    found: Any = plan_default(existing, wanted)
    assert plan_default(found, wanted) is None
    for step in field:
        found = found[step]
    assert found == value


def test_what_is_protected_is_left_alone() -> None:
    for obj in (CLUSTER_ADMIN, DISCOVERY):
        mine = changed(obj, "metadata", "annotations", to={AUTOUPDATE: "false"})
        mine = changed(mine, "rules" if obj is CLUSTER_ADMIN else "subjects", to=[])
        assert plan_default(mine, obj) is None
    other = changed(DISCOVERY, "roleRef", to={"kind": "ClusterRole", "name": "x", "apiGroup": "y"})
    assert must_remake(other, DISCOVERY) and not must_remake(DISCOVERY, DISCOVERY)
    assert not must_remake(changed(other, "metadata", "annotations", to={AUTOUPDATE: "false"}), DISCOVERY)


async def test_a_start_makes_what_an_older_cluster_lacks(api: Api, client: Client) -> None:
    """Also a cluster of the time before roles: nothing of them is in its store."""
    for gvr in (CLUSTERROLES, CLUSTERROLEBINDINGS):
        await client.delete(gvr, "")
    await client.delete(ROLES, "", namespace="kube-system")
    await client.delete(ROLEBINDINGS, "", namespace="kube-system")
    asked = Attributes("get", path="/version")
    jane = Identity("jane", (AUTHENTICATED,))
    assert not (await api.core.authorizer.decide(jane, asked)).allowed
    again = Api(store=api.core.store, registry=api.core.registry, clock=api.core.clock)
    await again.start()
    for one in (api, again):
        assert (await one.core.authorizer.decide(jane, asked)).allowed
    found = {(o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]) for o in default_objects()}
    names = set()
    for gvr in (CLUSTERROLES, CLUSTERROLEBINDINGS, ROLES, ROLEBINDINGS):
        for obj in await client.list(gvr):
            names.add((gvr.kind, obj["metadata"].get("namespace", ""), obj["metadata"]["name"]))
            assert obj["metadata"]["uid"] and obj["metadata"]["managedFields"][0]["manager"] == "kube-apiserver"
    assert names == found


async def test_a_second_start_writes_nothing(api: Api) -> None:
    before = await api.core.store.revision()
    again = Api(store=api.core.store, registry=api.core.registry, clock=api.core.clock)
    await again.start()
    assert await api.core.store.revision() == before


async def test_a_binding_to_another_role_is_made_anew(api: Api, client: Client) -> None:
    await client.delete(CLUSTERROLEBINDINGS, "system:discovery")
    other = changed(DISCOVERY, "roleRef", "name", to="view")
    await client.create(CLUSTERROLEBINDINGS, other)
    again = Api(store=api.core.store, registry=api.core.registry, clock=api.core.clock)
    await again.start()
    found = await client.get(CLUSTERROLEBINDINGS, "system:discovery")
    assert found["roleRef"]["name"] == "system:discovery"


@pytest.mark.parametrize(
    ("who", "asked", "allowed"),
    [
        (("system:kube-controller-manager", ()), Attributes("create", "", "pods", "", "default"), True),
        (("system:kube-controller-manager", ()), Attributes("list", "example.com", "widgets"), True),
        (("system:kube-controller-manager", ()), Attributes("create", "", "pods", "exec", "default", "p"), False),
        (("system:kube-scheduler", ()), Attributes("create", "", "pods", "binding", "default", "p"), True),
        (("system:kube-scheduler", ()), Attributes("create", "", "pods", "", "default"), False),
        (("system:kube-proxy", ()), Attributes("watch", "discovery.k8s.io", "endpointslices"), True),
        (("system:kube-proxy", ()), Attributes("get", "", "secrets", "", "default", "s"), False),
        (("system:serviceaccount:kube-system:coredns", ()), Attributes("list", "", "namespaces"), True),
        (("system:serviceaccount:kube-system:coredns", ()), Attributes("list", "", "secrets"), False),
        (
            ("system:serviceaccount:kube-system:coredns", ()),
            Attributes("create", "", "events", "", "kube-system"),
            True,
        ),
        (("system:serviceaccount:kube-system:coredns", ()), Attributes("create", "", "events", "", "default"), False),
        (("system:node:n", ("system:nodes",)), Attributes("list", "", "secrets"), False),
        (("jane", (AUTHENTICATED,)), Attributes("create", "authorization.k8s.io", "selfsubjectaccessreviews"), True),
        (("jane", (AUTHENTICATED,)), Attributes("create", "authorization.k8s.io", "subjectaccessreviews"), False),
    ],
)
async def test_who_may_what(api: Api, who: Any, asked: Attributes, allowed: bool) -> None:
    assert (await api.core.authorizer.decide(Identity(*who), asked)).allowed is allowed


def test_the_manager_has_what_every_controller_of_kubernetes_has() -> None:
    rules = set(parse_rules(BY_NAME["ClusterRole", MANAGER_ROLE]["rules"]))
    for (kind, name), obj in BY_NAME.items():
        if kind == "ClusterRole" and name.startswith("system:controller:"):
            assert set(parse_rules(obj["rules"])) <= rules, name
