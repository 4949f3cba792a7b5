"""The table of kinds: one Resource row per kind, from which routes, discovery, OpenAPI and verbs derive.

A row is a value; behaviour that a kind does not need is simply not given. The hooks are pure functions over plain
dicts (the decoded object); shared things (addresses, node ports) are claimed by ``allocate`` from a Reservation.

Order of a write in the API: decode, ``default``, ``prepare_create`` and ``admit``, or ``prepare_update``, ``validate``,
allocate, store. A status write runs ``prepare_status`` and ``validate_status``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from seamark.machinery.apply.shape import Shape
from seamark.machinery.gvr import GVR
from seamark.machinery.status import Cause

Obj = dict[str, Any]
Causes = list[Cause]

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


class Reservation(Protocol):
    """One write's claim on shared pools (ClusterIPs, node ports); ``resources/core/allocators.py`` has the pools.

    The API opens one per write, calls the row's ``allocate`` with it, and after the store took the write commits it:
    what ``old`` held and ``new`` no longer does is freed then. Rolled back, everything claimed is freed. A claim
    answers an empty text when it holds, else why it does not, in Kubernetes' words. What ``old`` holds may be
    claimed again.
    """

    @property
    def families(self) -> tuple[str, ...]:
        """The IP families of the cluster, the default one first: ``("IPv4",)``."""
        ...

    def claim_ip(self, ip: str) -> str: ...

    def next_ip(self, family: str = "") -> str | None: ...

    def claim_node_port(self, port: int, protocol: str) -> str: ...

    def next_node_port(self, protocol: str) -> int | None: ...

    def settle(self, new: Obj) -> None:
        """``allocate`` calls this last: ``new`` is complete, and commit frees what it does not hold."""
        ...

    def commit(self) -> None: ...

    def rollback(self) -> None: ...


class Reference(NamedTuple):
    """Another object, by where it is stored."""

    gvr: GVR
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the server-side Table. ``cell(obj, now)`` gives a JSON scalar; priority > 0 shows with -o wide.

    ``cell`` is None for the common Name and Age, which the table code fills itself.
    """

    name: str
    type: str = "string"
    format: str = ""
    priority: int = 0
    description: str = ""
    cell: Callable[[Obj, float], Any] | None = None


NAME = Column("Name", format="name")
AGE = Column("Age")


class ScalePaths(NamedTuple):
    """Where an object keeps what its Scale shows; an empty selector: nowhere."""

    spec: tuple[str, ...]
    status: tuple[str, ...]
    selector: tuple[str, ...] = ()


class ConformError(ValueError):
    """A body that its custom kind cannot hold; says which field and why."""


class CustomKind(Protocol):
    """What the kind of a CustomResourceDefinition does where other kinds follow the schema table.

    There is a row for each served version; they share their key prefix, and ``read`` gives what is stored there
    (in ``stored_version``) as this version shows it.
    """

    list_kind: str
    stored_version: str
    refuses_new: str  # why nothing may be created any more; empty while it may

    @property
    def scale(self) -> ScalePaths | None: ...

    def conform(self, obj: Obj) -> tuple[Obj, tuple[str, ...]]:
        """A body as this version has it, with its defaults, and findings about it. Raises ConformError."""
        ...

    def read(self, value: bytes, revision: int) -> bytes: ...

    def shape(self, api_version: str) -> Shape | None:
        """Who owns which field in a version of the kind."""
        ...

    def published(self, common: Mapping[str, Obj], *, v2: bool) -> Obj:
        """The schema for OpenAPI; ``common`` are apiVersion, kind and metadata as all kinds publish them."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """A subresource that writes one part of the object; both get ``(new, old)``."""

    prepare: Callable[[Obj, Obj], None]  # puts back everything else, fills defaults
    validate: Callable[[Obj, Obj], Causes]


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind. ``gvr`` is where it is served; every further field adds a behaviour.

    ``served_as`` names further GVRs under which the same stored objects appear, with ``convert(obj, gvr)`` to
    change their shape (Events live in core/v1 and events.k8s.io/v1).
    """

    gvr: GVR
    singular: str
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    columns: tuple[Column, ...] = (NAME, AGE)
    subresources: tuple[str, ...] = ()  # of "status", "scale", "binding", "eviction", "log", "exec", "token", …
    has_generation: bool = False  # metadata.generation moves with spec
    annotations_move_generation: bool = False  # and with annotations (Deployment)
    orphans_by_default: bool = False  # a DELETE that does not say leaves the dependents (old clients count on it)
    returns_object_on_delete: bool = False  # DELETE answers the object instead of a Status
    allows_create_on_update: bool = False  # PUT of a missing object creates (Lease, Event, …)
    unconditional_update: bool = True  # PUT without resourceVersion is taken (not for Lease)
    stored: bool = True  # False: a request, not an object: the API answers it and keeps nothing (reviews, bindings)
    deprecated: str = ""  # a Warning header on every request of the kind, also failing ones
    field_selectors: Mapping[str, Callable[[Obj], str]] = field(default_factory=dict)  # beyond metadata.*
    served_as: tuple[GVR, ...] = ()
    convert: Callable[[Obj, GVR], Obj] | None = None
    default: Callable[[Obj], None] | None = None  # fill defaults in place
    prepare_create: Callable[[Obj], None] | None = None  # drop what a client may not set
    references: Callable[[Obj], Sequence[Reference]] | None = None  # what ``admit`` must see; None: nothing
    admit: Callable[[Obj, Sequence[Obj | None]], None] | None = None  # on create, with those found; raises StatusError
    begin_deletion: Callable[[Obj, str], None] | None = (
        None  # what the first DELETE writes into it besides, at this time
    )
    prepare_update: Callable[[Obj, Obj], None] | None = None  # (new, old): keep immutable and allocated fields
    validate: Callable[[Obj], Causes] | None = None
    validate_create: Callable[[Obj], Causes] | None = None  # runs besides validate
    validate_update: Callable[[Obj, Obj], Causes] | None = None  # (new, old); runs besides validate
    parts: Mapping[str, Part] = field(default_factory=dict)  # subresources that write one part of the object
    prepare_status: Callable[[Obj, Obj], None] | None = None
    validate_status: Callable[[Obj, Obj], Causes] | None = None
    allocate: Callable[[Obj, Obj | None, Reservation], Causes] | None = None  # (new, old or None): fills addresses
    warnings: Callable[[Obj], Sequence[str]] | None = None
    validate_name: Callable[[str], Sequence[str]] | None = None  # messages; default: DNS-1123 subdomain

    custom: CustomKind | None = None  # the kind is that of a CustomResourceDefinition

    @property
    def key_prefix(self) -> str:
        """Where objects live in the store: ``/registry/<group or core>/<resource>/``."""
        return f"/registry/{self.gvr.group or 'core'}/{self.gvr.resource}/"

    def unknown_field_selector(self, label: str) -> str:
        """What 400 says for a field selector that is neither ``metadata.*`` nor in ``field_selectors``."""
        if self.field_selectors or self.custom:
            return f"field label not supported: {label}"
        return f'"{label}" is not a known field selector: only "metadata.name", "metadata.namespace"'

    def key(self, namespace: str, name: str) -> str:
        return f"{self.key_prefix}{namespace}/{name}" if self.gvr.namespaced else f"{self.key_prefix}{name}"


class Registry:
    """Rows by group, version and resource: those of ``table.py`` for ever, and those of custom kinds while they last.

    ``serve`` is the one way in and out for the latter (docs/adr/0006): whoever derives something from rows compares
    ``serial``, or for one group ``group_serial``, with what it has derived it from.
    """

    def __init__(self, rows: Sequence[Resource]) -> None:
        self.builtin = tuple(rows)
        self.builtin_groups = frozenset(gvr.group for row in rows for gvr in (row.gvr, *row.served_as))
        self.rows = self.builtin
        self.custom: dict[str, tuple[Resource, ...]] = {}
        self.serial = 0
        self._group_serials: dict[str, int] = {}
        self._by_gvr: dict[tuple[str, str, str], tuple[Resource, GVR]] = {}
        self._versions: tuple[tuple[str, str], ...] = ()
        self._index()

    def serve(self, source: str, rows: Sequence[Resource]) -> None:
        """Puts ``rows`` in the place of those that ``source`` (a definition's name) has now; none takes them away."""
        before = self.custom.pop(source, ())
        if rows:
            self.custom[source] = tuple(rows)
        if not (before or rows):
            return
        self.serial += 1
        for row in (*before, *rows):
            self._group_serials[row.gvr.group] = self.serial
        self._index()

    def _index(self) -> None:
        """A built-in kind cannot be put aside by a custom one."""
        self.rows = (*self.builtin, *(row for rows in self.custom.values() for row in rows))
        self._by_gvr = {
            (gvr.group, gvr.version, gvr.resource): (row, gvr)
            for row in reversed(self.rows)
            for gvr in (row.gvr, *row.served_as)
        }
        self._versions = tuple(sorted({(group, version) for group, version, _ in self._by_gvr}))

    def group_serial(self, group: str) -> int:
        """Changes with the custom kinds of the group."""
        return self._group_serials.get(group, 0)

    def find(self, group: str, version: str, resource: str) -> tuple[Resource, GVR] | None:
        return self._by_gvr.get((group, version, resource))

    def by_kind(self, group: str, kind: str) -> Resource | None:
        return next((r for r in self.rows if r.gvr.kind == kind and r.gvr.group == group), None)

    def group_versions(self) -> tuple[tuple[str, str], ...]:
        """Every (group, version) served, core first, the rest by name."""
        return self._versions
