"""Roles as kubectl users meet them: made, bound, asked about, acted as, and in the way."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from seamark.machinery.gvr import SERVICEACCOUNTS

MANIFEST = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules:
- {apiGroups: [""], resources: [pods, configmaps], verbs: [get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}
subjects:
- {kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}
"""


@pytest.fixture
async def bot(kubectl: Any) -> Any:
    """kubectl as the service account default/bot, by its token, in a kubeconfig of its own."""
    await kubectl.client.create(SERVICEACCOUNTS, {"metadata": {"name": "bot", "namespace": "default"}})
    account = {"namespace": "default", "name": "bot", "subresource": "token"}
    made = await kubectl.client.create(SERVICEACCOUNTS, {"kind": "TokenRequest", "spec": {}}, **account)
    config = yaml.safe_load(kubectl.kubeconfig.read_text())
    config["users"].append({"name": "bot", "user": {"token": made["status"]["token"]}})
    config["contexts"].append({"name": "bot", "context": {"cluster": "test", "user": "bot"}})
    kubectl.kubeconfig.write_text(yaml.safe_dump(config))

    async def run(*args: str, **options: Any) -> Any:
        return await kubectl("--context=bot", *args, **options)

    return run


async def test_an_account_gets_what_its_binding_gives(kubectl: Any, bot: Any) -> None:
    refused = await bot("get", "configmaps", fails=True)
    assert refused.err == (
        'Error from server (Forbidden): configmaps is forbidden: User "system:serviceaccount:default:bot" cannot list '
        'resource "configmaps" in API group "" in the namespace "default"\n'
    )
    made = await kubectl("create", "role", "cm", "--verb=get,list,create", "--resource=configmaps")
    assert made.out == "role.rbac.authorization.k8s.io/cm created\n"
    made = await kubectl("create", "rolebinding", "cm", "--role=cm", "--serviceaccount=default:bot")
    assert made.out == "rolebinding.rbac.authorization.k8s.io/cm created\n"
    assert (await bot("create", "configmap", "a", "--from-literal=k=v")).out == "configmap/a created\n"
    assert "a" in (await bot("get", "configmaps", "-o", "name")).out
    refused = await bot("delete", "configmap", "a", fails=True)
    assert 'configmaps "a" is forbidden' in refused.err
    refused = await bot("get", "pods", "-A", fails=True)
    assert "at the cluster scope" in refused.err
    await kubectl("delete", "rolebinding", "cm")
    assert "is forbidden" in (await bot("get", "configmaps", fails=True)).err


async def test_can_i(kubectl: Any, bot: Any) -> None:
    assert (await kubectl("auth", "can-i", "create", "deployments")).out == "yes\n"
    assert (await bot("auth", "can-i", "create", "deployments", fails=True)).out == "no\n"
    await kubectl("create", "rolebinding", "bot-edit", "--clusterrole=cluster-admin", "--serviceaccount=default:bot")
    assert (await bot("auth", "can-i", "create", "deployments")).out == "yes\n"
    assert "no" in (await bot("auth", "can-i", "create", "deployments", "-n", "kube-system", fails=True)).out
    assert "no" in (await bot("auth", "can-i", "list", "pods", "-A", fails=True)).out
    assert "yes" in (await bot("auth", "can-i", "get", "/version")).out
    listed = (await bot("auth", "can-i", "--list")).out
    assert "*.*" in listed and "selfsubjectaccessreviews.authorization.k8s.io" in listed and "[/healthz]" in listed
    as_bot = "--as=system:serviceaccount:default:bot"
    assert (await kubectl("auth", "can-i", "get", "pods", as_bot)).out == "yes\n"
    assert (await kubectl("auth", "can-i", "get", "pods", "-n", "kube-system", as_bot, fails=True)).out == "no\n"


async def test_acting_as_somebody(kubectl: Any, bot: Any) -> None:
    await kubectl("apply", "-f", "-", stdin=MANIFEST)
    assert (await kubectl("get", "pods", "--as=jane", "-o", "name")).out == ""
    assert 'User "jane"' in (await kubectl("get", "secrets", "--as=jane", fails=True)).err
    await kubectl("create", "clusterrolebinding", "ops", "--clusterrole=cluster-admin", "--group=ops")
    assert (await kubectl("get", "secrets", "--as=jane", "--as-group=devs", "--as-group=ops", "-o", "name")).err == ""
    refused = await bot("get", "pods", "--as=jane", fails=True)
    assert 'users "jane" is forbidden: User "system:serviceaccount:default:bot" cannot impersonate' in refused.err


async def test_tables(kubectl: Any) -> None:
    await kubectl("apply", "-f", "-", stdin=MANIFEST)
    lines = (await kubectl("get", "rolebinding", "reader", "-o", "wide")).out.splitlines()
    assert lines[0].split() == ["NAME", "ROLE", "AGE", "USERS", "GROUPS", "SERVICEACCOUNTS"]
    assert lines[1].split()[:2] == ["reader", "ClusterRole/reader"] and lines[1].split()[3] == "jane"
    lines = (await kubectl("get", "clusterrole", "cluster-admin", "view")).out.splitlines()
    assert lines[0].split() == ["NAME", "CREATED", "AT"] and lines[1].split()[0] == "cluster-admin"
    described = (await kubectl("describe", "clusterrole", "reader")).out
    assert "configmaps  []" in described and "[get list]" in described
    described = (await kubectl("describe", "clusterrolebinding", "cluster-admin")).out
    assert "Group  system:masters" in described


async def test_reconcile(kubectl: Any) -> None:
    done = await kubectl("auth", "reconcile", "-f", "-", stdin=MANIFEST)
    assert "clusterrole.rbac.authorization.k8s.io/reader reconciled" in done.out
    more = MANIFEST.replace("verbs: [get, list]", "verbs: [watch]").replace("jane", "john")
    await kubectl("auth", "reconcile", "-f", "-", stdin=more)
    verbs = (await kubectl("get", "clusterrole", "reader", "-o", "jsonpath={.rules[*].verbs[*]}")).out.split()
    assert {"get", "list", "watch"} <= set(verbs)
    names = (await kubectl("get", "rolebinding", "reader", "-o", "jsonpath={.subjects[*].name}")).out.split()
    assert sorted(names) == ["jane", "john"]


async def test_nobody_grants_what_they_lack(kubectl: Any, bot: Any) -> None:
    await kubectl("create", "role", "roles", "--verb=create", "--resource=roles,rolebindings")
    await kubectl("create", "rolebinding", "roles", "--role=roles", "--serviceaccount=default:bot")
    refused = await bot("create", "role", "more", "--verb=get", "--resource=secrets", fails=True)
    assert "is attempting to grant RBAC permissions not currently held:" in refused.err
    assert '{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}' in refused.err
    refused = await bot("create", "rolebinding", "me", "--clusterrole=cluster-admin", "--user=me", fails=True)
    assert '{APIGroups:["*"], Resources:["*"], Verbs:["*"]}' in refused.err


async def test_changing_a_role_ref(kubectl: Any) -> None:
    await kubectl("apply", "-f", "-", stdin=MANIFEST)
    other = MANIFEST.replace("kind: ClusterRole, name: reader", "kind: ClusterRole, name: view")
    refused = await kubectl("apply", "-f", "-", stdin=other, fails=True)
    assert "cannot change roleRef" in refused.err


async def test_wrong_credentials(kubectl: Any) -> None:
    """Not even what anybody may see (kubectl asks for a name where it has none, so none cannot be tried)."""
    wrong = await kubectl("--context=wrong", "get", "--raw", "/version", fails=True)
    assert "Unauthorized" in wrong.err or "must be logged in" in wrong.err
