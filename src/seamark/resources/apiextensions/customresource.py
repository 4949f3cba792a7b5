"""The kinds that a CustomResourceDefinition defines: a row for each version that is served.

Versions share what is stored: the rows have one prefix, and each reads the stored bytes as its own version shows them
(strategy None: another apiVersion, this version's schema). Bytes that were written under the schemas of today are
shown as they lie; what is older is decoded, pruned and defaulted on the way out.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import msgspec

from seamark.machinery.apply.shape import Shape
from seamark.machinery.definitions import (
    TERMINATING,
    accepted_names,
    is_served,
    is_true,
    storage_version,
    versions,
)
from seamark.machinery.gvr import GVR, version_priority
from seamark.machinery.jsonvalue import equal_json
from seamark.machinery.names import validate_qualified_name
from seamark.machinery.structural.default import apply_defaults
from seamark.machinery.structural.listtype import validate_lists
from seamark.machinery.structural.objectmeta import MetadataError, coerce_embedded, coerce_metadata, validate_embedded
from seamark.machinery.structural.prune import drop_nulls, prune
from seamark.machinery.structural.publish import Common, publish_v2, publish_v3
from seamark.machinery.structural.schema import Raw, Structural, parse_structural
from seamark.machinery.structural.shape import resource_shape
from seamark.machinery.structural.validate import Old, validate_schema
from seamark.resources.access import entries, section, text
from seamark.resources.apiextensions.customcolumns import custom_columns, field_selectors
from seamark.resources.apiextensions.customscale import scale_paths, validate_scale
from seamark.resources.registry import Causes, ConformError, Obj, Resource, ScalePaths

VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
TERMINATING_WHY = "create not allowed while custom resource definition is terminating"
_STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
_encode, _decode = msgspec.json.encode, msgspec.json.decode


def build_rows(crd: Obj, since: int) -> tuple[Resource, ...]:
    """Nothing while the names are not accepted. ``since`` is the revision from which on the schemas are these."""
    if not is_served(crd):
        return ()
    found = [CustomVersion(crd, version, since) for version in versions(crd)]
    for one in found:
        one.others = found
    return tuple(one.row() for one in found if one.version.get("served"))


class CustomVersion:
    """One version of a kind: what its row does (``registry.CustomKind``). Schemas are parsed at the first use."""

    def __init__(self, crd: Obj, version: Obj, since: int) -> None:
        names = accepted_names(crd)
        group = text(crd, "spec", "group")
        self.version = version
        self.others: Sequence[CustomVersion] = (self,)
        self.gvr = GVR(
            group,
            text(version, "name"),
            text(names, "plural"),
            text(names, "kind"),
            namespaced=text(crd, "spec", "scope") == "Namespaced",
        )
        self.list_kind = text(names, "listKind")
        self.stored_version = f"{group}/{storage_version(crd)}"
        self.refuses_new = TERMINATING_WHY if is_true(crd, TERMINATING) else ""
        self._names = names
        self._since = since
        self._spec = section(crd, "spec")

    @cached_property
    def raw(self) -> Raw | None:
        found: Raw | None = section(self.version, "schema").get("openAPIV3Schema")
        return found

    @cached_property
    def schema(self) -> Structural:
        return parse_structural(self.raw)

    @cached_property
    def scale(self) -> ScalePaths | None:
        return scale_paths(self.version)

    @cached_property
    def is_same_in_all(self) -> bool:
        return all(equal_json(self.raw, one.raw) for one in self.others)

    @property
    def has_status(self) -> bool:
        return section(self.version, "subresources").get("status") is not None

    def row(self) -> Resource:
        subresources = (("status",) if self.has_status else ()) + (("scale",) if self.scale else ())
        return Resource(
            gvr=self.gvr,
            singular=text(self._names, "singular"),
            short_names=tuple(entries(self._names, "shortNames")),
            categories=tuple(entries(self._names, "categories")),
            verbs=VERBS,
            columns=custom_columns(self.version),
            subresources=subresources,
            has_generation=True,
            unconditional_update=False,
            deprecated=self._deprecation(),
            field_selectors=field_selectors(self.version),
            prepare_create=self._drop_status if self.has_status else None,
            validate_create=self.validate,
            validate_update=self.validate_update,
            validate_status=self.validate_status,
            warnings=finalizer_warnings,
            custom=self,
        )

    def _deprecation(self) -> str:
        if not self.version.get("deprecated"):
            return ""
        if given := self.version.get("deprecationWarning"):
            return str(given)
        newer = [
            text(one, "name")
            for one in entries(self._spec, "versions")
            if one.get("served") and not one.get("deprecated") and _priority(one) > _priority(self.version)
        ]
        use = f"; use {self.gvr.group}/{max(newer, key=version_priority)} {self.gvr.kind}" if newer else ""
        return f"{self.gvr.api_version} {self.gvr.kind} is deprecated{use}"

    @staticmethod
    def _drop_status(obj: Obj) -> None:
        obj.pop("status", None)

    # -- bodies and bytes ----------------------------------------------------------------------------------------

    def conform(self, obj: Obj) -> tuple[Obj, tuple[str, ...]]:
        """The object as this version has it, with its defaults, and findings. Changes ``obj``."""
        try:
            unknown = coerce_metadata(obj)
            unknown += prune(obj, self.schema)
            drop_nulls(obj, self.schema)
            unknown += coerce_embedded(obj, self.schema)
        except MetadataError as error:
            raise ConformError(str(error)) from None
        apply_defaults(obj, self.schema)
        return obj, tuple(f'unknown field "{path}"' for path in sorted(set(unknown)))

    def read(self, value: bytes, revision: int) -> bytes:
        """Stored bytes as this version shows them."""
        if revision > self._since and self.is_same_in_all:
            if self.stored_version == self.gvr.api_version:
                return value
            old, new = (b'"apiVersion":"%s"' % one.encode() for one in (self.stored_version, self.gvr.api_version))
            return value.replace(old, new, 1)
        obj: Obj = _decode(value)
        obj["apiVersion"] = self.gvr.api_version
        prune(obj, self.schema)
        drop_nulls(obj, self.schema)
        apply_defaults(obj, self.schema)
        return _encode(obj)

    # -- validation ----------------------------------------------------------------------------------------------

    def validate(self, obj: Obj) -> Causes:
        causes = validate_schema(obj, self.raw or {}) + validate_scale(obj, self.scale)
        return causes + validate_embedded(obj, self.schema) + validate_lists(obj, self.schema)

    def validate_update(self, new: Obj, old: Obj) -> Causes:
        causes = validate_schema(new, self.raw or {}, old=Old(old, self.schema)) + validate_scale(new, self.scale)
        return causes + validate_embedded(new, self.schema) + self._lists(new, old)

    def validate_status(self, new: Obj, old: Obj) -> Causes:
        raw, causes = ((self.raw or {}).get("properties") or {}).get("status"), list[Any]()
        if raw is not None and "status" in new:
            before = Old(old.get("status"), self.schema.properties["status"]) if "status" in old else None
            causes += validate_schema(new["status"], raw, base="status", old=before)
        return causes + validate_scale(new, self.scale, status_alone=True) + self._lists(new, old)

    def _lists(self, new: Obj, old: Obj) -> Causes:
        """What was wrong before is let be."""
        found = validate_lists(new, self.schema)
        return [] if found and validate_lists(old, self.schema) else found

    # -- what others ask -----------------------------------------------------------------------------------------

    def shape(self, api_version: str) -> Shape | None:
        """Who owns which field, in any version of the kind; None for one that is not there."""
        found = next((one for one in self.others if one.gvr.api_version == api_version), None)
        return found.own_shape if found is not None else None

    @cached_property
    def own_shape(self) -> Shape:
        return resource_shape(self.schema)

    def published(self, common: Common, *, v2: bool) -> Raw:
        """The schema for OpenAPI, with what clients know the kind by."""
        node = (publish_v2 if v2 else publish_v3)(self.raw, common)
        gvr = self.gvr
        node["x-kubernetes-group-version-kind"] = [{"group": gvr.group, "kind": gvr.kind, "version": gvr.version}]
        if selectable := entries(self.version, "selectableFields"):
            node["x-kubernetes-selectable-fields"] = [
                {"fieldPath": text(one, "jsonPath").removeprefix(".")} for one in selectable
            ]
        return node


def finalizer_warnings(obj: Obj) -> list[str]:
    """For what is new: finalizers that others might take for theirs."""
    meta = section(obj, "metadata")
    if meta.get("resourceVersion"):
        return []
    found: list[str] = []
    for name in sorted(entries(meta, "finalizers")):
        found += [f'metadata.finalizers: "{name}": {why}' for why in validate_qualified_name(name)]
        if "/" not in name and name not in _STANDARD_FINALIZERS:
            how = "name including a path (/)" if "." in name else "name"
            why = (
                f"prefer a domain-qualified finalizer {how} to avoid accidental conflicts with other finalizer writers"
            )
            found.append(f'metadata.finalizers: "{name}": {why}')
    return found


def _priority(version: Obj) -> tuple[Any, ...]:
    return version_priority(text(version, "name"))
