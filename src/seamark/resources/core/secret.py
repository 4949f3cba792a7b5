"""core/v1 Secret: bytes by key, of a declared type.

``stringData`` is for writing only: it is merged into ``data`` as base64 and not stored. Values never appear in a
message.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable

from seamark.machinery import gvr, names
from seamark.resources import field
from seamark.resources.access import default, ensure, section, text
from seamark.resources.registry import AGE, NAME, Causes, Column, Obj, Resource

MAX_BYTES = 1024 * 1024
ACCOUNT_ANNOTATION = "kubernetes.io/service-account.name"
IMMUTABLE = "field is immutable when `immutable` is set"


def default_secret(obj: Obj) -> None:
    default(obj, "type", "Opaque")
    given = section(obj, "stringData")
    for name, value in given.items():
        ensure(obj, "data")[name] = base64.b64encode(str(value).encode()).decode()
    obj.pop("stringData", None)


def decoded(value: str) -> bytes | None:
    """The bytes of a value; None when it is no base64."""
    try:
        return base64.b64decode(value or "", validate=True)
    except (binascii.Error, ValueError):
        return None


def decoded_size(data: Obj) -> int:
    return sum(len(str(value)) * 3 // 4 for value in data.values() if value)


def validate(obj: Obj) -> Causes:
    data = section(obj, "data")
    causes: Causes = []
    for name, value in data.items():
        causes += field.invalids(field.index("data", name), name, names.validate_config_key(name))
        if decoded(value) is None:
            detail = "must be base64 encoded"
            causes.append(field.invalid(field.index("data", name), "<secret contents redacted>", detail))
    if decoded_size(data) > MAX_BYTES:
        causes.append(field.too_long("data", MAX_BYTES))
    check = _TYPE_CHECKS.get(text(obj, "type"))
    return causes + (check(obj) if check else [])


def _needs_account(obj: Obj) -> Causes:
    if text(obj, "metadata", "annotations", ACCOUNT_ANNOTATION):
        return []
    return [field.required(field.index("metadata.annotations", ACCOUNT_ANNOTATION))]


def _needs_json(name: str) -> Callable[[Obj], Causes]:
    def check(obj: Obj) -> Causes:
        path, data = field.index("data", name), section(obj, "data")
        if name not in data:
            return [field.required(path)]
        try:
            if isinstance(json.loads(decoded(data[name]) or b""), dict):
                return []
            detail = "must be a JSON object"
        except ValueError as error:
            detail = str(error)
        return [field.invalid(path, "<secret contents redacted>", detail)]

    return check


def _needs_keys(*wanted: str) -> Callable[[Obj], Causes]:
    return lambda obj: [field.required(field.index("data", k)) for k in wanted if k not in section(obj, "data")]


def _needs_basic_auth(obj: Obj) -> Causes:
    missing = _needs_keys("username", "password")(obj)
    return missing if len(missing) == 2 else []


def _needs_ssh_key(obj: Obj) -> Causes:
    return [] if section(obj, "data").get("ssh-privatekey") else [field.required("data[ssh-privatekey]")]


_TYPE_CHECKS: dict[str, Callable[[Obj], Causes]] = {
    "kubernetes.io/service-account-token": _needs_account,
    "kubernetes.io/dockercfg": _needs_json(".dockercfg"),
    "kubernetes.io/dockerconfigjson": _needs_json(".dockerconfigjson"),
    "kubernetes.io/basic-auth": _needs_basic_auth,
    "kubernetes.io/ssh-auth": _needs_ssh_key,
    "kubernetes.io/tls": _needs_keys("tls.crt", "tls.key"),
}


def immutable_data(new: Obj, old: Obj, *bags: str) -> Causes:
    """``immutable: true`` is for ever: neither it nor the data change. Also for ConfigMaps."""
    if old.get("immutable") is not True:
        return []
    causes: Causes = []
    if new.get("immutable") is not True:
        causes.append(field.forbidden("immutable", IMMUTABLE))
    causes += [field.forbidden(bag, IMMUTABLE) for bag in bags if section(new, bag) != section(old, bag)]
    return causes


def validate_update(new: Obj, old: Obj) -> Causes:
    return field.immutable("type", new.get("type"), old.get("type")) + immutable_data(new, old, "data")


SECRET = Resource(
    gvr=gvr.SECRETS,
    singular="secret",
    columns=(
        NAME,
        Column("Type", cell=lambda obj, now: text(obj, "type")),
        Column("Data", cell=lambda obj, now: len(section(obj, "data"))),
        AGE,
    ),
    field_selectors={"type": lambda obj: text(obj, "type")},
    default=default_secret,
    validate=validate,
    validate_update=validate_update,
)
