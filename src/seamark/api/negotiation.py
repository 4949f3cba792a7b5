"""Media types: what the client wants back (Accept) and what it sent (Content-Type).

Accept is read as apiserver does: by ``q``, then the exact before the wild, then as written; the first clause that can
be served wins. Table and PartialObjectMetadata come as ``as=`` parameters of a media type, Tables never as protobuf.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from seamark.machinery.status import StatusError

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
MEDIA_TYPES = (JSON, YAML, PROTOBUF)
STREAM_TYPES = (f"{JSON};stream=watch", f"{PROTOBUF};stream=watch")

Transform = Literal["", "Table", "PartialObjectMetadata", "PartialObjectMetadataList"]
_TRANSFORMS: tuple[Transform, ...] = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")
NO_TRANSFORMS: frozenset[Transform] = frozenset()
NO_TABLES = frozenset(_TRANSFORMS) - {"Table"}
_TRANSFORM_VERSIONS = ("v1", "v1beta1")


@dataclass(frozen=True, slots=True)
class Representation:
    """How to answer. ``version`` is that of meta.k8s.io for a transformed answer."""

    media_type: str = JSON
    transform: Transform = ""
    version: str = "v1"


PLAIN = Representation()


@dataclass(frozen=True, slots=True)
class MediaRange:
    media_type: str
    parameters: dict[str, str]
    quality: float = 1.0

    def includes(self, media_type: str) -> bool:
        return self.media_type in (media_type, "*/*", media_type.partition("/")[0] + "/*")


@lru_cache(maxsize=256)
def parse_accept(text: str) -> tuple[MediaRange, ...]:
    """The clauses of an Accept header, the dearest first."""
    found = [clause for part in text.split(",") if (clause := _parse_clause(part)) is not None]
    return tuple(sorted(found, key=lambda clause: (-clause.quality, clause.media_type.count("*"))))


def _parse_clause(text: str) -> MediaRange | None:
    media_type, *rest = (part.strip() for part in text.split(";"))
    media_type = "*/*" if media_type == "*" else media_type.lower()
    if media_type.count("/") != 1:
        return None
    parameters = {}
    for part in rest:
        key, _, value = part.partition("=")
        if value.strip():
            parameters[key.strip().lower()] = value.strip().strip('"')
    return MediaRange(media_type, parameters, _quality(parameters.pop("q", "1")))


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


@lru_cache(maxsize=256)
def select_representation(
    accept: str,
    *,
    served: tuple[str, ...] = MEDIA_TYPES,
    transforms: frozenset[Transform] = frozenset(_TRANSFORMS),
    stream: bool = False,
) -> Representation:
    """How to answer; ``served`` are the media types of what is not transformed. A watch is in no YAML. Raises 406."""
    if not accept.strip():
        return PLAIN
    clauses = parse_accept(accept)
    if not any(clause.media_type in ("*/*", *MEDIA_TYPES) for clause in clauses):
        raise no_representation((*MEDIA_TYPES, *STREAM_TYPES) if stream else MEDIA_TYPES)
    for clause in clauses:
        for media_type in MEDIA_TYPES:
            found = _representation(clause, media_type)
            if found is None or not (found.transform in transforms if found.transform else media_type in served):
                continue
            if stream and media_type == YAML:
                raise not_acceptable(STREAM_TYPES)
            return found
    raise not_acceptable(MEDIA_TYPES)


def _representation(clause: MediaRange, media_type: str) -> Representation | None:
    asked = clause.parameters
    if not clause.includes(media_type) or asked.get("stream", "watch") != "watch":
        return None
    if not asked.keys() & {"as", "g", "v"}:
        return Representation(media_type)
    version = asked.get("v", "")
    known = next((t for t in _TRANSFORMS if t == asked.get("as")), None)
    if known is None or asked.get("g") != "meta.k8s.io" or version not in _TRANSFORM_VERSIONS:
        return None
    if media_type == PROTOBUF and (known == "Table" or version != "v1"):
        return None
    return Representation(media_type, known, version)


def not_acceptable(media_types: Sequence[str]) -> StatusError:
    return StatusError(406, "NotAcceptable", f"only the following media types are accepted: {', '.join(media_types)}")


def no_representation(media_types: Sequence[str]) -> StatusError:
    """What names no media type of Kubernetes at all is refused before anything else is looked at."""
    message = f"406: Not Acceptable\n\nAvailable representations: {', '.join(media_types)}"
    return StatusError(406, "NotAcceptable", message, details={})


def body_media_type(content_type: str, known: Sequence[str] = MEDIA_TYPES) -> str:
    """What a body is, if it is one of the known; a missing Content-Type means JSON. Raises 415."""
    given = content_type.split(";", 1)[0].strip().lower()
    if not given:
        return JSON
    if given not in known:
        listed = ", ".join(known)
        why = f"the body of the request was in an unknown format - accepted media types include: {listed}"
        raise StatusError(415, "UnsupportedMediaType", why)
    return given
