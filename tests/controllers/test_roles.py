"""The roles that controllers fill, and that a namespace takes its roles along."""

from __future__ import annotations

from typing import Any

from seamark.machinery.gvr import CLUSTERROLES, NAMESPACES, ROLEBINDINGS, ROLES


async def test_admin_edit_and_view_are_filled_and_follow(cluster: Any) -> None:
    async def rules(name: str) -> list[Any]:
        return (await cluster.client.get(CLUSTERROLES, name)).get("rules") or []

    async def filled() -> bool:
        return min([len(await rules(name)) for name in ("view", "edit", "admin")]) > 0

    await cluster.eventually(filled)
    custom = {"apiGroups": ["example.com"], "resources": ["widgets"], "verbs": ["get"]}
    labels = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    await cluster.client.create(CLUSTERROLES, {"metadata": {"name": "widgets", "labels": labels}, "rules": [custom]})

    async def arrived() -> bool:
        return all([custom in await rules(name) for name in ("view", "edit", "admin")])

    await cluster.eventually(arrived, "view goes into edit, edit into admin")
    await cluster.client.delete(CLUSTERROLES, "widgets")

    async def gone() -> bool:
        return not any([custom in await rules(name) for name in ("view", "edit", "admin")])

    await cluster.eventually(gone)


async def test_roles_end_with_their_namespace(cluster: Any) -> None:
    await cluster.client.create(NAMESPACES, {"metadata": {"name": "team"}})
    await cluster.client.create(ROLES, {"metadata": {"name": "r", "namespace": "team"}, "rules": []})
    ref = {"kind": "Role", "name": "r", "apiGroup": "rbac.authorization.k8s.io"}
    await cluster.client.create(ROLEBINDINGS, {"metadata": {"name": "b", "namespace": "team"}, "roleRef": ref})
    await cluster.client.delete(NAMESPACES, "team")

    async def gone() -> bool:
        return all(n["metadata"]["name"] != "team" for n in await cluster.list_all("namespaces"))

    await cluster.eventually(gone)
    assert [r for r in await cluster.list_all("roles") if r["metadata"]["namespace"] == "team"] == []
    assert [r for r in await cluster.list_all("rolebindings") if r["metadata"]["namespace"] == "team"] == []
