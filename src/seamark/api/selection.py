"""Which objects a list or a watch means: label and field selectors over stored bytes.

Names and namespaces are read off the key, labels by a partial decode; only a selector on a field of the kind itself
decodes the whole object.
"""

from __future__ import annotations

from dataclasses import dataclass

from seamark.api.core import Target
from seamark.api.objects import labels_of, unpack_as
from seamark.machinery.selectors import (
    EVERYTHING,
    FieldTerm,
    LabelSelector,
    parse_field_selector,
    parse_label_selector,
)
from seamark.machinery.status import bad_request
from seamark.machinery.wire import Request
from seamark.resources.registry import Resource


@dataclass(frozen=True, slots=True)
class Selection:
    row: Resource
    labels: LabelSelector = EVERYTHING
    meta: tuple[FieldTerm, ...] = ()  # on metadata.name and metadata.namespace
    fields: tuple[FieldTerm, ...] = ()  # on fields of the kind

    @property
    def everything(self) -> bool:
        return self.labels.everything and not self.meta and not self.fields

    def matches(self, key: str, value: bytes) -> bool:
        return (
            all(_holds(term, self._meta_field(key, term.field)) for term in self.meta)
            and (self.labels.everything or self.labels.matches(labels_of(value)))
            and (not self.fields or self._fields_match(value))
        )

    def _meta_field(self, key: str, field: str) -> str:
        namespace, _, name = key.removeprefix(self.row.key_prefix).rpartition("/")
        return name if field == "metadata.name" else namespace

    def _fields_match(self, value: bytes) -> bool:
        obj = unpack_as(self.row, value, 0)
        return all(_holds(term, self.row.field_selectors[term.field](obj)) for term in self.fields)


def _holds(term: FieldTerm, value: str) -> bool:
    return (value == term.value) == (term.op == "=")


def parse_selection(request: Request, target: Target) -> Selection:
    """The selectors of a request, with a watch on ``…/watch/…/NAME`` as one on its name. Raises 400."""
    row = target.row
    labels = parse_label_selector(request.param("labelSelector"))
    terms = parse_field_selector(request.param("fieldSelector"))
    if target.name and target.watch:
        terms = (*terms, FieldTerm("metadata.name", "=", target.name))
    meta = tuple(t for t in terms if t.field in ("metadata.name", "metadata.namespace"))
    fields = tuple(t for t in terms if t not in meta)
    for term in fields:
        if term.field not in row.field_selectors:
            raise bad_request(row.unknown_field_selector(term.field))
    return Selection(row, labels, meta, fields)
