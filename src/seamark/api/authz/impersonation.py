"""Acting as somebody else: the Impersonate- headers, each of which the asker must be allowed to use.

Facts: k8s.io/apiserver pkg/endpoints/filters/impersonation. Values of a repeated header come apart at line ends,
which no header value can hold (``http1.py`` joins them so).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import unquote

from seamark.api.authz.authorizer import Authorizer
from seamark.machinery.authorize import Attributes
from seamark.machinery.status import bad_request
from seamark.machinery.wire import ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, Identity

PREFIX = "impersonate-"
_USER, _GROUP, _UID, _EXTRA = "impersonate-user", "impersonate-group", "impersonate-uid", "impersonate-extra-"
_AUTHENTICATION = "authentication.k8s.io"
_ACCOUNT = "system:serviceaccount:"


def is_impersonation(headers: Iterable[str]) -> bool:
    return any(name.startswith(PREFIX) for name in headers)


async def impersonate(authorizer: Authorizer, who: Identity, headers: Mapping[str, str]) -> Identity:
    """Whom the request acts as. Raises 403 for what ``who`` may not take on, 400 for headers without a user."""
    wanted = parse_impersonation(headers)
    for asked in needed_rights(wanted):
        await authorizer.check(who, asked)
    return _completed(wanted)


def parse_impersonation(headers: Mapping[str, str]) -> Identity:
    user = _utf8(headers.get(_USER, ""))
    groups = tuple(_utf8(headers[_GROUP]).split("\n")) if _GROUP in headers else ()
    extra = {
        unquote(name.removeprefix(_EXTRA)): tuple(_utf8(value).split("\n"))
        for name, value in headers.items()
        if name.startswith(_EXTRA)
    }
    uid = headers.get(_UID, "")
    if not user:
        asked = ", ".join(sorted(name for name in headers if name.startswith(PREFIX)))
        raise bad_request(f"requested {asked} without impersonating a user: set Impersonate-User as well")
    return Identity(user, groups, uid, extra)


def _utf8(value: str) -> str:
    """HTTP's header values are Latin-1; who sends names in UTF-8 means those."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def _account(user: str) -> tuple[str, str] | None:
    """Namespace and name of the service account that has this user name."""
    namespace, sign, name = user.removeprefix(_ACCOUNT).partition(":")
    if not user.startswith(_ACCOUNT) or not sign or not namespace or not name or ":" in name:
        return None
    return namespace, name


def needed_rights(wanted: Identity) -> list[Attributes]:
    """What the asker must be allowed to do, in the order in which a refusal names it."""
    account = _account(wanted.user)
    if account is not None:
        found = [Attributes("impersonate", resource="serviceaccounts", namespace=account[0], name=account[1])]
    else:
        found = [Attributes("impersonate", resource="users", name=wanted.user)]
    found += [Attributes("impersonate", resource="groups", name=group) for group in wanted.groups]
    found += [
        Attributes("impersonate", _AUTHENTICATION, "userextras", key, name=value)
        for key, values in wanted.extra.items()
        for value in values
    ]
    if wanted.uid:
        found.append(Attributes("impersonate", _AUTHENTICATION, "uids", name=wanted.uid))
    return found


def _completed(wanted: Identity) -> Identity:
    """With the groups that follow from the user where none were given, and whether it counts as authenticated."""
    account, groups = _account(wanted.user), wanted.groups
    if account is not None and not groups:
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{account[0]}")
    if wanted.user == ANONYMOUS:
        if UNAUTHENTICATED not in groups:
            groups = (*groups, UNAUTHENTICATED)
    elif AUTHENTICATED not in groups and UNAUTHENTICATED not in groups:
        groups = (*groups, AUTHENTICATED)
    return Identity(wanted.user, groups, wanted.uid, wanted.extra)
