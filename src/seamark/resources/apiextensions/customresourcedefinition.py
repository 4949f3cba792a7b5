"""apiextensions.k8s.io/v1 CustomResourceDefinition: a kind that users define. ``customresource`` makes rows of it.

Names are accepted and the kind is established by the controller; objects of the kind go before it does, which is what
the finalizer is for that a DELETE adds.
"""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.machinery.definitions import (
    CLEANUP,
    TERMINATING,
    condition,
    storage_version,
    versions,
    with_condition,
)
from seamark.machinery.structural.formats import is_known_format
from seamark.machinery.structural.schema import Raw, find_schema
from seamark.resources.access import default, ensure, entries, keep, section, text
from seamark.resources.apiextensions.definition_validation import (
    validate_accepted_names,
    validate_definition,
    validate_definition_update,
)
from seamark.resources.registry import NAME, Causes, Column, Obj, Resource


def default_definition(obj: Obj) -> None:
    names = ensure(ensure(obj, "spec"), "names")
    kind = text(names, "kind")
    default(names, "singular", kind.lower())
    if kind:
        default(names, "listKind", f"{kind}List")
    if not section(obj, "spec").get("conversion"):
        obj["spec"]["conversion"] = {"strategy": "None"}
    service = section(obj, "spec", "conversion", "webhook", "clientConfig").get("service")
    if isinstance(service, dict):
        default(service, "port", 443)
    status = ensure(obj, "status")
    if not status.get("storedVersions") and (stored := storage_version(obj)):
        status["storedVersions"] = [stored]


def prepare_create(obj: Obj) -> None:
    stored = storage_version(obj)
    names = {"plural": "", "kind": ""}
    obj["status"] = {"conditions": None, "acceptedNames": names, "storedVersions": [stored] if stored else []}


def prepare_update(new: Obj, old: Obj) -> None:
    """What is stored in a version that is no longer the storage version stays told."""
    keep(new, old, "status")
    stored, known = storage_version(new), entries(new, "status", "storedVersions")
    if stored and stored not in known:
        new["status"] = {**section(new, "status"), "storedVersions": [*known, stored]}


def begin_deletion(obj: Obj, now: str) -> None:
    meta, status = obj["metadata"], ensure(obj, "status")
    if CLEANUP not in (meta.get("finalizers") or ()):
        meta["finalizers"] = [*(meta.get("finalizers") or ()), CLEANUP]
    message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"
    new = condition(TERMINATING, "True", "InstanceDeletionPending", message)
    status["conditions"] = with_condition(entries(obj, "status", "conditions"), new, now)


def validate_status(new: Obj, old: Obj) -> Causes:
    return validate_accepted_names(section(new, "status", "acceptedNames"))


def unknown_formats(obj: Obj) -> list[str]:
    found: list[str] = []

    def note(raw: Raw) -> bool:
        given = raw.get("format") or ""
        if given and not is_known_format(given, raw.get("type") or ""):
            found.append(f'unrecognized format "{given}"')
        return False

    for version in versions(obj):
        find_schema(section(version, "schema", "openAPIV3Schema"), note)
    return list(dict.fromkeys(found))


CUSTOMRESOURCEDEFINITION = Resource(
    gvr=gvr.CUSTOMRESOURCEDEFINITIONS,
    singular="customresourcedefinition",
    short_names=("crd", "crds"),
    categories=("api-extensions",),
    subresources=("status",),
    columns=(
        NAME,
        Column("Created At", type="date", cell=lambda obj, now: text(obj, "metadata", "creationTimestamp")),
    ),
    has_generation=True,
    unconditional_update=False,
    default=default_definition,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    begin_deletion=begin_deletion,
    validate_create=validate_definition,
    validate_update=validate_definition_update,
    validate_status=validate_status,
    warnings=unknown_formats,
)
