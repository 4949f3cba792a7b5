"""Answers: objects, lists, Statuses and single watch frames in the representation the client asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from seamark.api.core import Call, Core
from seamark.api.negotiation import (
    JSON,
    MEDIA_TYPES,
    NO_TABLES,
    NO_TRANSFORMS,
    PROTOBUF,
    YAML,
    Representation,
    select_representation,
)
from seamark.api.objects import Obj, encode, shown_bytes, splice, unpack, unpack_as
from seamark.api.table import list_kind, parse_include, render_columns, render_partial, render_rows, render_table
from seamark.api.yamltext import render_yaml
from seamark.machinery import protobuf, schema
from seamark.machinery.gvr import GVR
from seamark.machinery.status import StatusError
from seamark.machinery.wire import Response

_NO_CACHE = "no-cache, private"
_WARNINGS_MAX = 4096  # characters, then each is cut to
_WARNING_MAX = 256
_ENCODED = 4096  # objects that are kept as protobuf, too


def respond_json(value: Any, *, status: int = 200) -> Response:
    return Response(status, encode(value), {"content-type": JSON, "cache-control": _NO_CACHE})


def respond_text(text: str, *, status: int = 200) -> Response:
    headers = {"content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"}
    return Response(status, text.encode(), {**headers, "cache-control": _NO_CACHE})


def respond_status(error: StatusError, accept: str = "") -> Response:
    """A failure in what the client reads; in JSON where that is nothing we have."""
    try:
        media_type = select_representation(accept, transforms=NO_TRANSFORMS).media_type
    except StatusError:
        media_type = JSON
    response = respond_encoded(error.as_dict(), media_type, status=error.code)
    if error.retry_after:
        response.headers["retry-after"] = str(error.retry_after)
    return response


def respond_encoded(value: Any, media_type: str, *, status: int = 200) -> Response:
    if media_type == YAML:
        body = render_yaml(value)
    else:
        body = protobuf.encode_body(value) if media_type == PROTOBUF else encode(value)
    return Response(status, body, {"content-type": media_type, "cache-control": _NO_CACHE})


def respond_success(call: Call, *, status: int = 200, details: dict[str, Any] | None = None) -> Response:
    """The Status of what went well and has nothing else to show."""
    shown: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    if details is not None:
        shown["details"] = details
    if status != 200:
        shown["code"] = status
    return respond_encoded(shown, representation(call).media_type, status=status)


def representation(call: Call, *, stream: bool = False) -> Representation:
    """How this client wants its answer; what is not stored comes as no Table. Raises 406."""
    accept, served = call.request.headers.get("accept", ""), served_types(call.target.gvr)
    if not call.target.row.stored:
        return select_representation(accept, served=served, transforms=NO_TABLES, stream=stream)
    return select_representation(accept, served=served, stream=stream)


def served_types(gvr: GVR) -> tuple[str, ...]:
    """A kind without a protobuf message is served as text alone."""
    return MEDIA_TYPES if schema.message(gvr.api_version, gvr.kind) is not None else (JSON, YAML)


def served(call: Call, obj: Obj) -> Obj:
    """A stored object in the shape of the group and version it was asked under."""
    row, gvr = call.target.row, call.target.gvr
    return obj if gvr == row.gvr or row.convert is None else row.convert(obj, gvr)


def served_bytes(call: Call, value: bytes, revision: int) -> bytes:
    """The same on bytes; what needs no other shape is never decoded."""
    row, gvr = call.target.row, call.target.gvr
    if gvr == row.gvr or row.convert is None:
        return splice(shown_bytes(row, value, revision), revision)
    return encode(row.convert(unpack(value, revision), gvr))


def respond_entry(core: Core, call: Call, value: bytes, revision: int, *, status: int = 200) -> Response:
    """One stored object."""
    wanted = representation(call)
    if wanted.media_type == JSON and not wanted.transform:
        body = served_bytes(call, value, revision)
        return Response(status, body, {"content-type": JSON, "cache-control": _NO_CACHE})
    return respond_object(core, call, served(call, unpack_as(call.target.row, value, revision)), status=status)


def respond_object(core: Core, call: Call, obj: Obj, *, status: int = 200) -> Response:
    """One object, already in the shape asked for."""
    wanted = representation(call)
    shown: Any = obj
    if wanted.transform == "Table":
        meta = {k: v for k, v in obj["metadata"].items() if k == "resourceVersion"}
        shown = render_table(
            list(rows_of(core, call, [obj], wanted)), columns=columns_of(call), version=wanted.version, metadata=meta
        )
    elif wanted.transform == "PartialObjectMetadata":
        shown = render_partial(obj, wanted.version)
    elif wanted.transform:
        raise unfit_transform(call, wanted, is_list=False)
    return respond_encoded(shown, wanted.media_type, status=status)


def columns_of(call: Call) -> list[dict[str, Any]]:
    return render_columns(call.target.row)


def rows_of(core: Core, call: Call, objects: Iterable[Obj], wanted: Representation) -> Iterator[dict[str, Any]]:
    include = parse_include(call.request.param("includeObject"))
    return render_rows(call.target.row, objects, now=core.clock.time(), include=include, version=wanted.version)


def respond_list(core: Core, call: Call, entries: Sequence[tuple[bytes, int]], meta: dict[str, Any]) -> Response:
    """A list of stored objects, each with its revision."""
    wanted = representation(call)
    row, gvr = call.target.row, call.target.gvr
    shell: Obj = {"kind": list_kind(row, gvr), "apiVersion": gvr.api_version, "metadata": meta, "items": []}
    if wanted.media_type == JSON and not wanted.transform:
        return _respond_items(shell, _served_items(call, entries))
    if wanted.media_type == PROTOBUF and not wanted.transform:
        body = protobuf.encode_list(shell, [to_protobuf(item) for item in _served_items(call, entries)])
        return Response(200, body, {"content-type": PROTOBUF, "cache-control": _NO_CACHE})
    items: Iterator[Any] = (served(call, unpack_as(row, value, revision)) for value, revision in entries)
    if wanted.transform == "Table":
        items = rows_of(core, call, items, wanted)
        shell = render_table([], columns=columns_of(call), version=wanted.version, metadata=meta)
    elif wanted.transform == "PartialObjectMetadataList":
        items = (render_partial(obj, wanted.version) for obj in items)
        shell |= {"kind": wanted.transform, "apiVersion": f"meta.k8s.io/{wanted.version}"}
    elif wanted.transform:
        raise unfit_transform(call, wanted, is_list=True)
    if wanted.media_type == JSON:
        return _respond_items(shell, [encode(item) for item in items])
    return respond_encoded({**shell, list(shell)[-1]: list(items)}, wanted.media_type)


@lru_cache(maxsize=_ENCODED)
def to_protobuf(shown: bytes) -> bytes:
    """The protobuf message of an object given as JSON; kept, since many are told of the same change and list again."""
    return protobuf.encode_object(msgspec.json.decode(shown))


def _respond_items(shell: Obj, items: list[bytes]) -> Response:
    """``shell`` with the items in the empty list that is its last field; the bytes are copied once."""
    head = encode(shell)[: -len(b"]}")]
    if items:
        items[0] = head + items[0]
        items[-1] += b"]}"
        body = b",".join(items)
    else:
        body = head + b"]}"
    return Response(200, body, {"content-type": JSON, "cache-control": _NO_CACHE})


def _served_items(call: Call, entries: Sequence[tuple[bytes, int]]) -> list[bytes]:
    row, gvr = call.target.row, call.target.gvr
    if row.custom is None and (gvr == row.gvr or row.convert is None):
        return [splice(value, revision) for value, revision in entries]
    return [served_bytes(call, value, revision) for value, revision in entries]


def unfit_transform(call: Call, wanted: Representation, *, is_list: bool) -> StatusError:
    """``as=PartialObjectMetadata`` on a list, or the reverse. Kubernetes names its own Go type."""
    gvr = call.target.row.gvr
    go_type = f"*{gvr.group.split('.')[0] or 'core'}.{list_kind(call.target.row, gvr) if is_list else gvr.kind}"
    found = f"a list ({go_type})" if is_list else f"not a list ({go_type})"
    return StatusError(406, "NotAcceptable", f"you requested {wanted.transform}, but the requested object is {found}")


def limit_warnings(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Each once; where they come to more than a head should hold, all are cut short and the last ones left out."""
    found = tuple(dict.fromkeys(text for text in texts if text))
    if sum(map(len, found)) <= _WARNINGS_MAX:
        return found
    short: list[str] = []
    size = 0
    for text in found:
        if size >= _WARNINGS_MAX:
            break
        short.append(text[:_WARNING_MAX])
        size += len(short[-1])
    return tuple(short)


async def close_stream(stream: AsyncIterator[bytes]) -> None:
    """Ends a stream that is left before its end; what is no generator needs no ending."""
    close = getattr(stream, "aclose", None)
    if close is not None:
        await close()
