"""Acting as somebody else, for those who may."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.api.authz.impersonation import is_impersonation, needed_rights, parse_impersonation
from seamark.machinery.authorize import Attributes
from seamark.machinery.status import StatusError
from seamark.machinery.wire import Identity

ADMIN = Identity("root", ("system:masters",))
WHOAMI = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
JANE = Identity("jane", ("system:authenticated",))


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({"impersonate-user": "bob"}, {"username": "bob", "groups": ["system:authenticated"]}),
        (
            {"impersonate-user": "bob", "impersonate-group": "devs\nops, and more"},
            {"username": "bob", "groups": ["devs", "ops, and more", "system:authenticated"]},
        ),
        (
            {"impersonate-user": "bob", "impersonate-group": "system:unauthenticated"},
            {"username": "bob", "groups": ["system:unauthenticated"]},
        ),
        (
            {"impersonate-user": "system:anonymous"},
            {"username": "system:anonymous", "groups": ["system:unauthenticated"]},
        ),
        (
            {"impersonate-user": "system:serviceaccount:ns:web"},
            {
                "username": "system:serviceaccount:ns:web",
                "groups": ["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"],
            },
        ),
        (
            {"impersonate-user": "bob", "impersonate-uid": "u1", "impersonate-extra-scopes%2fx": "a\nb"},
            {"username": "bob", "groups": ["system:authenticated"], "uid": "u1", "extra": {"scopes/x": ["a", "b"]}},
        ),
        ({"impersonate-user": "j\u00c3\u00b6rg"}, {"username": "jörg", "groups": ["system:authenticated"]}),
    ],
)
async def test_an_administrator_is_whom_they_say(ask: Any, headers: dict[str, str], wanted: Any) -> None:
    status, body = await ask(ADMIN, "POST", WHOAMI, body={}, headers=headers)
    if "system:unauthenticated" in wanted["groups"]:
        assert status == 403 and f'User "{wanted["username"]}" cannot create' in body["message"]
    else:
        assert (status, body["status"]["userInfo"]) == (201, wanted)


async def test_without_a_user_it_is_a_mistake(ask: Any) -> None:
    status, body = await ask(ADMIN, "GET", "/version", headers={"impersonate-group": "devs"})
    assert status == 400 and "without impersonating a user" in body["message"]


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({"impersonate-user": "bob"}, ""),
        (
            {"impersonate-user": "eve"},
            'users "eve" is forbidden: User "jane" cannot impersonate resource "users" in API group "" at the cluster '
            "scope",
        ),
        ({"impersonate-user": "bob", "impersonate-group": "ops"}, 'groups "ops" is forbidden'),
        (
            {"impersonate-user": "system:serviceaccount:ns:web"},
            'serviceaccounts "web" is forbidden: User "jane" cannot impersonate resource "serviceaccounts" in API '
            'group "" in the namespace "ns"',
        ),
        (
            {"impersonate-user": "bob", "impersonate-uid": "1"},
            'cannot impersonate resource "uids" in API group "authentication.k8s.io"',
        ),
        ({"impersonate-user": "bob", "impersonate-extra-a": "1"}, 'cannot impersonate resource "userextras/a"'),
    ],
)
async def test_everybody_else_needs_a_right_for_each(
    ask: Any, client: Any, headers: dict[str, str], refused: str
) -> None:
    from seamark.machinery.gvr import CLUSTERROLEBINDINGS, CLUSTERROLES

    rule = {"verbs": ["impersonate"], "apiGroups": [""], "resources": ["users"], "resourceNames": ["bob"]}
    await client.create(CLUSTERROLES, {"metadata": {"name": "as-bob"}, "rules": [rule]})
    ref = {"kind": "ClusterRole", "name": "as-bob", "apiGroup": "rbac.authorization.k8s.io"}
    subjects = [{"kind": "User", "name": "jane"}]
    await client.create(CLUSTERROLEBINDINGS, {"metadata": {"name": "as-bob"}, "roleRef": ref, "subjects": subjects})
    status, body = await ask(JANE, "POST", WHOAMI, body={}, headers=headers)
    if refused:
        assert status == 403 and refused in body["message"]
    else:
        assert body["status"]["userInfo"]["username"] == "bob"


def test_rights_in_order() -> None:
    wanted = parse_impersonation({"impersonate-user": "a", "impersonate-group": "g", "impersonate-extra-k": "v"})
    assert needed_rights(wanted) == [
        Attributes("impersonate", "", "users", name="a"),
        Attributes("impersonate", "", "groups", name="g"),
        Attributes("impersonate", "authentication.k8s.io", "userextras", "k", name="v"),
    ]
    assert is_impersonation({"host": "", "impersonate-uid": ""}) and not is_impersonation({"accept": ""})
    with pytest.raises(StatusError):
        parse_impersonation({"impersonate-uid": "1"})
