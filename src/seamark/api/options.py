"""The query options that every write has (dryRun, fieldManager, fieldValidation), and numbers and times in queries.

A value that is not known refuses the request (422): what was meant as a trial must not become a write, and what was
meant to be checked strictly must not pass unchecked. The Status names the options' kind, which the verb decides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from seamark.machinery.fielderrors import invalid as invalid_cause
from seamark.machinery.fielderrors import not_supported, quote, too_long
from seamark.machinery.status import Cause, StatusError, bad_request, invalid
from seamark.machinery.wire import Request

FIELD_MANAGER_MAX = 128
_KINDS = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions", "DELETE": "DeleteOptions"}
_POLICIES = ("", "Ignore", "Strict", "Warn")


def check_write_options(request: Request) -> None:
    """Raises 422."""
    if not request.query:
        return
    causes: list[Cause] = []
    dry_run = request.params("dryRun")
    if any(value != "All" for value in dry_run):
        causes.append(not_supported("dryRun", list(dry_run), ["All"]))
    manager = request.param("fieldManager")
    if len(manager.encode()) > FIELD_MANAGER_MAX:
        causes.append(too_long("fieldManager", FIELD_MANAGER_MAX))
    causes += _odd_characters(manager)
    policy = request.param("fieldValidation")
    if policy not in _POLICIES:
        causes.append(not_supported("fieldValidation", policy, _POLICIES))
    if causes:
        raise refused(request.method, causes)


def _odd_characters(manager: str) -> list[Cause]:
    """A cause for each; positions are those of bytes."""
    found: list[Cause] = []
    position = 0
    for char in manager if not manager.isprintable() else "":
        if not char.isprintable():
            detail = f"invalid character U+{ord(char):04X} (at position {position})"
            found.append(invalid_cause("fieldManager", manager, detail))
        position += len(char.encode())
    return found


def refused(method: str, causes: Sequence[Cause]) -> StatusError:
    return invalid(_KINDS.get(method, "CreateOptions"), "", causes, group="meta.k8s.io")


def validation_policy(request: Request) -> str:
    """Warn, Strict or Ignore. Raises 422 for a policy that does not exist."""
    policy = request.param("fieldValidation")
    if policy not in _POLICIES:
        raise refused(request.method, [not_supported("fieldValidation", policy, _POLICIES)])
    return policy or "Warn"


def parse_revision_text(text: str) -> int:
    """A resourceVersion; ValueError in the words of Go's reader."""
    if text and not (text.isascii() and text.isdecimal()):
        why = f"strconv.ParseUint: parsing {quote(text)}: invalid syntax"
        raise ValueError(f"resourceVersion: Invalid value: {quote(text)}: {why}")
    return int(text or "0")


def parse_integer(request: Request, name: str) -> int:
    """A whole number, 0 where there is none. Raises 400."""
    text = request.param(name)
    if not re.fullmatch(r"[-+]?[0-9]+|", text):
        raise bad_request(f"strconv.ParseInt: parsing {quote(text)}: invalid syntax")
    return int(text or "0")


_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|ms|s|m|h)")


def parse_timeout(request: Request) -> float:
    """``timeout=1m30s`` in seconds, as Go writes durations; 0 where there is none. Raises 400."""
    text = request.param("timeout")
    if not text or text == "0":
        return 0.0
    parts = _PART.findall(text.lstrip("+-"))
    if "".join(number + unit for number, unit in parts) != text.lstrip("+-") or not parts:
        raise bad_request(f"invalid timeout specified in the request URL - time: invalid duration {quote(text)}")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    return 0.0 if text.startswith("-") else seconds
