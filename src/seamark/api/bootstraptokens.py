"""Who a bootstrap token is: ``system:bootstrap:ID`` in ``system:bootstrappers`` and the groups its Secret names."""

from __future__ import annotations

from seamark.api.core import Core
from seamark.api.objects import unpack_entry
from seamark.machinery.bootstraptokens import (
    NAME_PREFIX,
    NAMESPACE,
    SECRET_TYPE,
    USER_PREFIX,
    groups_of,
    is_good,
    split_token,
)
from seamark.machinery.signing import decode_bytes
from seamark.machinery.wire import Identity
from seamark.resources.access import section
from seamark.resources.core.secret import SECRET


async def identify_bootstrap(core: Core, token: str) -> Identity | None:
    """None for what is no bootstrap token, or one that is not good."""
    found = split_token(token)
    entry = await core.store.get(key=SECRET.key(NAMESPACE, NAME_PREFIX + found[0])) if found else None
    if found is None or entry is None:
        return None
    secret = unpack_entry(entry)
    if secret["metadata"].get("deletionTimestamp") or secret.get("type") != SECRET_TYPE:
        return None
    data = {key: decode_bytes(value) for key, value in section(secret, "data").items()}
    groups = groups_of(data)
    if groups is None or not is_good(data, *found, usage="authentication", now=core.clock.time()):
        return None
    return Identity(USER_PREFIX + found[0], groups)
