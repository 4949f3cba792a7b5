"""What the server itself writes into metadata, and what it demands of the rest.

Names and namespaces must agree with the URL; uid, creationTimestamp, generation and deletion marks are the server's
own, whatever a client sends. managedFields have a module of their own (``ownership``).
"""

from __future__ import annotations

import uuid
from typing import Any

from seamark.api.core import Call, Core
from seamark.api.objects import Obj
from seamark.machinery import schema
from seamark.machinery.clock import format_time
from seamark.machinery.fielderrors import forbidden, invalid, quote, required
from seamark.machinery.gvr import CUSTOMRESOURCEDEFINITIONS
from seamark.machinery.names import (
    generate_name,
    name_suffix,
    validate_dns1123_subdomain,
    validate_label_value,
    validate_path_segment,
    validate_qualified_name,
    without_trailing_dash,
)
from seamark.machinery.status import Cause, StatusError, bad_request, internal
from seamark.resources.registry import Resource

_SERVER_OWNED = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds")
_ANNOTATIONS_MAX = 256 << 10
_STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")


def check_kind(obj: Any, api_version: str, kind: str) -> Obj:
    """Fills an absent apiVersion and kind, refuses others, and guarantees that there is metadata."""
    if not isinstance(obj, dict):
        raise bad_request(f"the object provided is unrecognized (must be of type {kind}): not a JSON object")
    given = obj.get("apiVersion") or api_version, obj.get("kind") or kind
    if given != (api_version, kind):
        version = str(given[0]).rpartition("/")[2]
        group = api_version.rpartition("/")[0]
        why = f'no kind "{given[1]}" is registered for version "{given[0]}"'
        if schema.message(str(given[0]), str(given[1])) is not None:
            why = f"converting ({version}.{given[1]}) to ({(group or 'core').split('.')[0]}.{kind}): unknown conversion"
        raise bad_request(f'{given[1]} in version "{version}" cannot be handled as a {kind}: {why}')
    obj["apiVersion"], obj["kind"] = given
    if obj.get("metadata") is None:
        obj["metadata"] = {}
    return obj


def check_place(call: Call, obj: Obj) -> None:
    """Name and namespace of the body against those of the URL; absent ones are filled in."""
    meta, target = obj["metadata"], call.target
    given = meta.get("namespace") or target.namespace
    if target.row.gvr.namespaced and given != target.namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    if target.row.gvr.namespaced:
        meta["namespace"] = target.namespace
    else:
        meta.pop("namespace", None)
    if target.name:
        name = meta.get("name") or target.name
        if name != target.name:
            raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({target.name})")
        meta["name"] = target.name


def begin_create(core: Core, call: Call, obj: Obj) -> None:
    """Everything metadata gets when an object begins to exist, save its name."""
    meta = obj["metadata"]
    if meta.get("resourceVersion"):
        raise StatusError(500, "", "resourceVersion should not be set on objects to be created")
    for field in (*_SERVER_OWNED, "selfLink", "resourceVersion"):
        meta.pop(field, None)
    meta["uid"] = str(uuid.uuid4())
    meta["creationTimestamp"] = format_time(core.clock.time())
    if call.target.row.has_generation:
        meta["generation"] = 1
    _drop_repeated_owners(call, meta)


def _drop_repeated_owners(call: Call, meta: dict[str, Any]) -> None:
    """An owner that is named twice in the same way counts once, and is warned of."""
    given = meta.get("ownerReferences")
    if not isinstance(given, list) or len(given) < 2:
        return
    kept = [one for number, one in enumerate(given) if one not in given[:number]]
    if len(kept) == len(given):
        return
    repeated = [one for number, one in enumerate(given) if one in given[:number]]
    uids = ", ".join(str(one.get("uid", "")) for one in repeated if isinstance(one, dict))
    when = " after mutating admission happens" if call.request.method == "PATCH" else ""
    call.warnings.append(
        f".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references in 1.20+, and "
        f"may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {uids}"
    )
    meta["ownerReferences"] = kept


def give_name(core: Core, obj: Obj) -> bool:
    """Makes a name out of generateName where none is given; True when it did."""
    meta = obj["metadata"]
    base = meta.get("generateName")
    if meta.get("name") or not isinstance(base, str) or not base:
        return False
    meta["name"] = generate_name(base, name_suffix(core.random.choice))
    return True


def begin_update(core: Core, call: Call, obj: Obj, old: Obj) -> None:
    """Keeps what is the server's own. Raises Conflict where the client expects another uid."""
    meta, kept = obj["metadata"], old["metadata"]
    for field in ("selfLink", *_SERVER_OWNED):
        meta.pop(field, None)
    for field in _SERVER_OWNED:
        if field in kept:
            meta[field] = kept[field]
    if not meta.get("generateName") and "generateName" in kept:
        meta["generateName"] = kept["generateName"]
    _drop_repeated_owners(call, meta)


def bump_generation(row: Resource, obj: Obj, old: Obj) -> None:
    """For a write of the object itself; one of its status never moves the generation."""
    if not row.has_generation:
        return
    if row.custom is not None:
        moved = any(obj.get(name) != old.get(name) for name in (obj.keys() | old.keys()) - {"metadata"})
    else:
        moved = any(obj.get(name) != old.get(name) for name in ("spec", "template"))  # a PodTemplate has no spec
    if row.annotations_move_generation:
        moved |= (obj["metadata"].get("annotations") or {}) != (old["metadata"].get("annotations") or {})
    if moved:
        obj["metadata"]["generation"] = int(old["metadata"].get("generation", 0)) + 1


def parse_revision(text: str) -> int:
    """A resourceVersion in a body. Raises the 500 that apiserver answers for one that is no number."""
    if not text:
        return 0
    if not isinstance(text, str) or not text.isascii() or not text.isdecimal():
        raise internal(f"metadata.resourceVersion: {text!r} is not a decimal number")
    return int(text)


def validate_metadata(row: Resource, obj: Obj) -> list[Cause]:
    """ObjectMeta as every kind shares it; the name by the row's own rule."""
    meta = obj["metadata"]
    rule = row.validate_name or validate_dns1123_subdomain
    causes: list[Cause] = []
    if base := meta.get("generateName"):
        causes += [invalid("metadata.generateName", base, text) for text in rule(without_trailing_dash(base))]
    if name := meta.get("name"):
        causes += [invalid("metadata.name", name, text) for text in rule(name) or validate_path_segment(name)]
    else:
        causes.append(required("metadata.name", "name or generateName is required"))
    causes += validate_map(meta, "labels") + validate_map(meta, "annotations")
    is_custom = row.custom is not None or row.gvr == CUSTOMRESOURCEDEFINITIONS
    causes += _validate_finalizers(meta.get("finalizers"), is_custom=is_custom)
    return causes + _validate_owners(meta.get("ownerReferences"))


def validate_metadata_update(obj: Obj, old: Obj) -> list[Cause]:
    """An object that is being deleted waits for what it waits for, and nothing more."""
    if not old["metadata"].get("deletionTimestamp"):
        return []
    added = set(obj["metadata"].get("finalizers") or ()) - set(old["metadata"].get("finalizers") or ())
    if not added:
        return []
    listed = "[]string{" + ", ".join(quote(name) for name in sorted(added)) + "}"  # Go's %#v
    detail = f"no new finalizers can be added if the object is being deleted, found new finalizers {listed}"
    return [forbidden("metadata.finalizers", detail)]


def validate_map(meta: dict[str, Any], field: str) -> list[Cause]:
    found = meta.get(field)
    where = f"metadata.{field}"
    if found is None:
        return []
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        return [invalid(where, found, "must be a map of strings")]
    causes = [invalid(where, key, text) for key in found for text in validate_qualified_name(key.lower())]
    if field == "labels":
        causes += [invalid(where, value, text) for value in found.values() for text in validate_label_value(value)]
    elif sum(len(k.encode()) + len(v.encode()) for k, v in found.items()) > _ANNOTATIONS_MAX:
        causes.append(Cause("FieldValueTooLong", f"Too long: may not be more than {_ANNOTATIONS_MAX} bytes", where))
    return causes


def _validate_finalizers(found: Any, *, is_custom: bool) -> list[Cause]:
    """A custom kind may have finalizers with any name; it is warned of odd ones."""
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(f, str) for f in found):
        return [invalid("metadata.finalizers", found, "must be a list of strings")]
    causes = [invalid("metadata.finalizers", f, text) for f in found for text in validate_qualified_name(f)]
    if "orphan" in found and "foregroundDeletion" in found:
        detail = "finalizer orphan and foregroundDeletion cannot be both set"
        causes.append(invalid("metadata.finalizers", found, detail))
    if is_custom:
        return causes
    unknown = "name is neither a standard finalizer name nor is it fully qualified"
    return causes + [
        invalid(f"metadata.finalizers[{i}]", f, unknown)
        for i, f in enumerate(found)
        if "/" not in f and f not in _STANDARD_FINALIZERS
    ]


def _validate_owners(found: Any) -> list[Cause]:
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(o, dict) for o in found):
        return [invalid("metadata.ownerReferences", found, "must be a list of objects")]
    where = "metadata.ownerReferences"  # Kubernetes gives no index here
    causes = [
        invalid(f"{where}.{field}", "", "version must not be empty" if field == "apiVersion" else "must not be empty")
        for owner in found
        for field in ("apiVersion", "kind", "name", "uid")
        if not owner.get(field)
    ]
    controllers = [f"{o.get('kind', '')}/{o.get('name', '')}" for o in found if o.get("controller")]
    if len(controllers) > 1:
        detail = (
            "Only one reference can have Controller set to true. "
            f'Found "true" in references for {controllers[0]} and {controllers[1]}'
        )
        causes.append(invalid(where, found, detail))
    return causes
