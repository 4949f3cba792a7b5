"""Media types: what the client wants back (Accept) and what it sent (Content-Type).

Accept is read in the order written, as apiserver does: the first clause that can be served wins. JSON is always
possible; Table and PartialObjectMetadata come as ``as=`` parameters of JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from seamark.machinery.status import StatusError

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
MEDIA_TYPES = (JSON, YAML, PROTOBUF)

Transform = Literal["", "Table", "PartialObjectMetadata", "PartialObjectMetadataList"]
_TRANSFORMS: tuple[Transform, ...] = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")
_TRANSFORM_VERSIONS = ("v1", "v1beta1")
_FORMATS = {
    "*/*": JSON,
    "application/*": JSON,
    JSON: JSON,
    YAML: YAML,
    "text/yaml": YAML,
    "application/x-yaml": YAML,
    PROTOBUF: PROTOBUF,
}


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


def parse_accept(text: str) -> list[MediaRange]:
    """The clauses of an Accept header, in order; those with ``q=0`` are left out."""
    found = []
    for clause in text.split(","):
        media_type, *rest = (part.strip() for part in clause.split(";"))
        parameters = {}
        for part in rest:
            key, _, value = part.partition("=")
            parameters[key.strip().lower()] = value.strip().strip('"')
        if media_type and parameters.get("q") not in ("0", "0.0", "0.00", "0.000"):
            found.append(MediaRange(media_type.lower(), parameters))
    return found


def select_representation(accept: str) -> Representation:
    """The first clause that can be served; protobuf only where nothing else is accepted. Raises 406.

    Protobuf is made out of the stored JSON, so it costs more than the JSON that nearly every client takes as well.
    """
    if not accept.strip():
        return PLAIN
    fallback: Representation | None = None
    for clause in parse_accept(accept):
        found = _representation(clause)
        if found is None:
            continue
        if found.media_type != PROTOBUF:
            return found
        if not found.transform:
            fallback = fallback or found
    if fallback is not None:
        return fallback
    raise StatusError(
        406, "NotAcceptable", f"only the following media types are accepted: {', '.join(MEDIA_TYPES)}", details={}
    )


def _representation(clause: MediaRange) -> Representation | None:
    media_type = _FORMATS.get(clause.media_type)
    if media_type is None:
        return None
    asked = clause.parameters.get("as", "")
    if not asked:
        return Representation(media_type)
    version = clause.parameters.get("v", "")
    known = next((t for t in _TRANSFORMS if t == asked), None)
    if known is None or clause.parameters.get("g") != "meta.k8s.io" or version not in _TRANSFORM_VERSIONS:
        return None
    return Representation(media_type, known, version)


def body_media_type(content_type: str) -> str:
    """What a body is; a missing Content-Type means JSON. Raises 415."""
    given = content_type.split(";", 1)[0].strip().lower()
    if not given:
        return JSON
    found = _FORMATS.get(given) if "*" not in given else None
    if found is None:
        raise StatusError(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: "
            + ", ".join(MEDIA_TYPES),
            details={},
        )
    return found
