"""The events of a watch as the client reads them: lines of JSON or frames of protobuf.

They hold objects, partial ones or Tables; a Table carries its column definitions with the first event only.
"""

from __future__ import annotations

from typing import Any

from seamark.api.core import Call, Core
from seamark.api.negotiation import JSON, PROTOBUF, Representation
from seamark.api.objects import Obj, encode, unpack_as
from seamark.api.respond import columns_of, rows_of, served, served_bytes, to_protobuf
from seamark.api.table import render_partial, render_table
from seamark.machinery import protobuf
from seamark.machinery.status import StatusError

INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class EventWriter:
    """The events of one watch."""

    def __init__(self, core: Core, call: Call, wanted: Representation) -> None:
        self._core = core
        self._call = call
        self._wanted = wanted
        self._tells_commits = call.request.flag("commitTimes")
        self._columns_sent = False

    @property
    def is_text(self) -> bool:
        return self._wanted.media_type == JSON

    @property
    def content_type(self) -> str:
        return JSON if self.is_text else f"{PROTOBUF};stream=watch"

    def split(self, chunk: bytes) -> list[bytes]:
        """The single events of several that were written together, without what frames them."""
        return chunk.splitlines() if self.is_text else protobuf.split_events(chunk)

    def event(self, kind: str, value: bytes, revision: int, committed: float = 0.0) -> bytes:
        if self._wanted.media_type == PROTOBUF and not self._wanted.transform:
            message = to_protobuf(served_bytes(self._call, value, revision))
            gvr = self._call.target.gvr
            kind_of = {"apiVersion": gvr.api_version, "kind": gvr.kind}
            return protobuf.encode_event(kind, protobuf.envelope(kind_of, message))
        if self._wanted.media_type == PROTOBUF:
            return self._of(kind, self._transformed(value, revision))
        if self._wanted.transform:
            shown = encode(self._transformed(value, revision))
        else:
            shown = served_bytes(self._call, value, revision)
        if committed and self._tells_commits:
            return b'{"type":"%s","object":%s,"committed":%.6f}\n' % (kind.encode(), shown, committed)
        return b'{"type":"%s","object":%s}\n' % (kind.encode(), shown)

    def bookmark(self, revision: int, *, initial_end: bool = False) -> bytes:
        gvr = self._call.target.gvr
        meta: dict[str, Any] = {"resourceVersion": str(revision)}
        if initial_end:
            meta["annotations"] = {INITIAL_EVENTS_END: "true"}
        obj: Obj = {"kind": gvr.kind, "apiVersion": gvr.api_version, "metadata": meta}
        if self._wanted.transform == "Table":
            row = {"cells": [""] * len(self._call.target.row.columns), "object": render_partial(obj, "v1")}
            obj = self._table([row], meta)
        elif self._wanted.transform:
            obj = render_partial(obj, self._wanted.version)
        return self._of("BOOKMARK", obj)

    def error(self, error: StatusError) -> bytes:
        return self._of("ERROR", error.as_dict())

    def _of(self, kind: str, obj: Obj) -> bytes:
        if self._wanted.media_type == PROTOBUF:
            return protobuf.encode_event(kind, protobuf.encode_body(obj))
        return b'{"type":"%s","object":%s}\n' % (kind.encode(), encode(obj))

    def _transformed(self, value: bytes, revision: int) -> Obj:
        obj = served(self._call, unpack_as(self._call.target.row, value, revision))
        if self._wanted.transform != "Table":
            return render_partial(obj, self._wanted.version)
        meta = {"resourceVersion": obj["metadata"]["resourceVersion"]}
        return self._table(list(rows_of(self._core, self._call, [obj], self._wanted)), meta)

    def _table(self, rows: list[Obj], meta: Obj) -> Obj:
        columns = None if self._columns_sent else columns_of(self._call)
        self._columns_sent = True
        return render_table(rows, columns=columns, version=self._wanted.version, metadata=meta)
