"""Paths and composite checks of validation, on top of ``machinery.fielderrors`` (which holds the words themselves).

Paths are plain text, as they are printed: ``spec.ports[0].name``, ``metadata.annotations[a/b]``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from seamark.machinery.fielderrors import (
    duplicate,
    forbidden,
    invalid,
    not_found,
    not_supported,
    required,
    too_long,
    too_many,
)
from seamark.machinery.names import validate_dns1123_subdomain, validate_port_number, validate_range
from seamark.machinery.status import Cause

__all__ = [
    "domain_prefixed_path",
    "duplicate",
    "duplicate_struct",
    "forbidden",
    "immutable",
    "in_range",
    "index",
    "invalid",
    "invalid_plain",
    "invalid_struct",
    "invalids",
    "not_found",
    "not_negative",
    "not_supported",
    "not_supported_struct",
    "one_of",
    "port_number",
    "required",
    "too_long",
    "too_many",
]

IMMUTABLE = "field is immutable"
_URL_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"


def index(path: str, position: int | str) -> str:
    """An element of a list by position, of a map by key."""
    return f"{path}[{position}]"


def invalids(path: str, value: Any, messages: Iterable[str]) -> list[Cause]:
    """One cause for each message of a check in ``machinery.names``."""
    return [invalid(path, value, message) for message in messages]


def _struct(value: Mapping[str, Any], detail: str) -> str:
    """A struct as Go shows it: fields in the order of their declaration, which the caller keeps."""
    shown = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return f"{shown}: {detail}" if detail else shown


def invalid_plain(path: str, detail: str) -> Cause:
    """Without the value, where it would say nothing."""
    return Cause("FieldValueInvalid", f"Invalid value: {detail}", path)


def duplicate_struct(path: str, value: Mapping[str, Any], detail: str = "") -> Cause:
    return Cause("FieldValueDuplicate", f"Duplicate value: {_struct(value, detail)}", path)


def invalid_struct(path: str, value: Mapping[str, Any], detail: str) -> Cause:
    return Cause("FieldValueInvalid", f"Invalid value: {_struct(value, detail)}", path)


def not_supported_struct(path: str, value: Mapping[str, Any], supported: Iterable[str]) -> Cause:
    listed = ", ".join(f'"{name}"' for name in supported)
    return Cause("FieldValueNotSupported", f"Unsupported value: {_struct(value, f'supported values: {listed}')}", path)


def immutable(path: str, new: Any, old: Any) -> list[Cause]:
    """Nothing when the field is as it was. Absent, null and empty are the same to Kubernetes."""
    return [] if (new or None) == (old or None) else [invalid(path, new, IMMUTABLE)]


def one_of(path: str, value: Any, supported: Iterable[str]) -> list[Cause]:
    """An enumerated field: its values are shown in code point order, as Kubernetes prints its sets."""
    known = sorted(supported)
    return [] if value in known else [not_supported(path, value, known)]


def in_range(path: str, value: int, low: int, high: int) -> list[Cause]:
    return invalids(path, value, validate_range(value, low, high))


def port_number(path: str, value: int) -> list[Cause]:
    return invalids(path, value, validate_port_number(value))


def not_negative(path: str, value: int | None) -> list[Cause]:
    if value is None or value >= 0:
        return []
    return [invalid(path, value, "must be greater than or equal to 0")]


def domain_prefixed_path(path: str, value: str) -> list[Cause]:
    """``example.com/foo``: who is behind a controller, a provisioner or a class."""
    if not value:
        return [required(path)]
    domain, _, rest = value.partition("/")
    if not domain or not rest:
        return [invalid(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")')]
    causes = invalids(path, domain, validate_dns1123_subdomain(domain))
    if not re.fullmatch(_URL_PATH, rest):
        causes.append(invalid(path, rest, f"Invalid path (regex used for validation is '{_URL_PATH}')"))
    return causes
