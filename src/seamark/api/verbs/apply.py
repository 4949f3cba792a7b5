"""PATCH as server-side apply (``kubectl apply --server-side``): one manager's configuration; it may create the object.

The body is YAML or JSON. A field that the kind does not have is an error whatever ``fieldValidation`` says; that one
decides about keys that stand twice.
"""

from __future__ import annotations

from typing import Any

import msgspec
import yaml

from seamark.api.body import conform
from seamark.api.core import Call, Core
from seamark.api.metadata import check_place
from seamark.api.objects import Obj
from seamark.api.options import check_write_options, refused, validation_policy
from seamark.api.ownership import entries_of, set_entries, views_of, without_entries
from seamark.api.verbs.create import respond_written
from seamark.api.writes import Written, create_object, missing, update_object
from seamark.api.yamltext import decode_yaml, explain, find_repeated_keys
from seamark.machinery.apply import (
    APPLY,
    Applied,
    ApplyConflictError,
    Entry,
    TypedError,
    Views,
    Writer,
    apply_config,
)
from seamark.machinery.clock import format_time
from seamark.machinery.fielderrors import required
from seamark.machinery.jsonvalue import json_kind
from seamark.machinery.status import StatusError, bad_request, conflict
from seamark.machinery.wire import Request, Response

_TRIES = 4  # the object may come and go between looking and writing


async def apply(core: Core, call: Call) -> Response:
    check_apply_options(call.request)
    config = decode_config(call, call.target.gvr.api_version, call.target.gvr.kind)
    written = await _write(core, call, config)
    return respond_written(core, call, written)


async def _write(core: Core, call: Call, config: Obj) -> Written:
    target = call.target

    def change(current: Obj) -> Obj:
        return _apply_to(core, call, current, config)

    for _ in range(_TRIES):
        there = await core.store.get(key=target.key) is not None
        if not there and target.subresource:
            raise missing(target)
        try:
            if there:
                return await update_object(core, call, change, retry=True)
            return await create_object(core, call, change({}))
        except StatusError as error:
            if error.reason != ("NotFound" if there else "AlreadyExists"):
                raise
    raise conflict(target.row.gvr.resource, target.name, group=target.row.gvr.group)


def _apply_to(core: Core, call: Call, current: Obj, config: Obj) -> Obj:
    """The new object in the shape it is stored in, with its managedFields; ``current`` may be ``{}``."""
    row, gvr = call.target.row, call.target.gvr
    live = without_entries(current)
    if live and gvr != row.gvr and row.convert is not None:
        live = row.convert(live, gvr)
    views = views_of(row, gvr.api_version, call.target.subresource)
    applied = run_apply(core, call, live, entries_of(current), config=config, views=views)
    found, _ = conform(row, applied.obj)
    if not live:
        _check_new(call, found)
    check_place(call, found)
    if gvr != row.gvr and row.convert is not None:
        found = row.convert(found, row.gvr)
    set_entries(found, applied.entries)
    return found


def _check_new(call: Call, obj: Obj) -> None:
    """What begins to exist must name itself, and cannot be one that existed before."""
    row, name, meta = call.target.row, call.target.name, obj["metadata"]
    if uid := meta.get("uid"):
        why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        raise conflict(row.gvr.resource, name, group=row.gvr.group, why=why)
    if not meta.get("name"):
        raise bad_request(f"the name of the object ({name} based on URL) was undeterminable: name must be provided")


def run_apply(core: Core, call: Call, live: Obj, entries: list[Entry], *, config: Obj, views: Views) -> Applied:
    """Raises 409 for conflicts, 500 for a configuration of no such type."""
    manager, now = call.request.param("fieldManager"), format_time(core.clock.time())
    writer = Writer(manager, APPLY, views.api_version, call.target.subresource, now)
    try:
        return apply_config(live, entries, config, views=views, writer=writer, force=call.request.flag("force"))
    except ApplyConflictError as error:
        raise error.status() from None
    except TypedError as error:
        meta = _meta(config)
        where = f"{meta.get('namespace') or ''}/{meta.get('name') or ''}; {_group_kind(config)}"
        raise StatusError(500, "", f"failed to create typed patch object ({where}): {error}") from None


def check_apply_options(request: Request) -> None:
    """Raises 422; an applier must say who it is."""
    if not request.param("fieldManager"):
        raise refused("PATCH", [required("fieldManager", "is required for apply patch")])
    check_write_options(request)


def decode_config(call: Call, api_version: str, kind: str) -> Obj:
    """The configuration, which must name its kind; repeated keys are warned of. Raises 400."""
    config = _decode(call.request.body)
    if (config.get("apiVersion"), config.get("kind")) != (api_version, kind):
        raise bad_request(f"invalid object type: {_group_kind(config)}")
    if _meta(config).get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
    policy = validation_policy(call.request)
    repeated = () if policy == "Ignore" else find_repeated_keys(call.request.body)
    if repeated and policy == "Strict":
        lines = "".join(f"\n  {one}" for one in repeated)
        why = f"error converting YAML to JSON: yaml: unmarshal errors:{lines}"
        raise bad_request(f"error strict decoding YAML: {why}")
    call.warnings.extend(repeated)
    return config


def _decode(body: bytes) -> Obj:
    """Raises 400; nothing and null are an object without a kind."""
    try:
        value = msgspec.json.decode(body)  # what kubectl sends, and read much faster
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        try:
            value = decode_yaml(body)
        except (yaml.YAMLError, RecursionError, UnicodeDecodeError) as error:
            raise bad_request(f"error decoding YAML: error converting YAML to JSON: {explain(error)}") from None
    if value is not None and not isinstance(value, dict):
        why = f"json: cannot unmarshal {json_kind(value)} into Go value of type map[string]interface {{}}"
        raise bad_request(f"error decoding YAML: error unmarshaling JSON: while decoding JSON: {why}")
    return value or {}


def _meta(config: Obj) -> dict[str, Any]:
    meta = config.get("metadata")
    return meta if isinstance(meta, dict) else {}


def _group_kind(config: Obj) -> str:
    """``apps/v1, Kind=Deployment``, as Go prints a GroupVersionKind; the core group's has nothing before the slash."""
    api_version = str(config.get("apiVersion") or "")
    return f"{api_version if '/' in api_version else '/' + api_version}, Kind={config.get('kind') or ''}"
