"""The query options that every write has: dryRun, fieldManager, fieldValidation.

A value that is not known refuses the request (422): what was meant as a trial must not become a write, and what was
meant to be checked strictly must not pass unchecked. The Status names the options' kind, which the verb decides.
"""

from __future__ import annotations

from collections.abc import Sequence

from seamark.machinery.fielderrors import invalid as invalid_cause
from seamark.machinery.fielderrors import not_supported, too_long
from seamark.machinery.status import Cause, StatusError, invalid
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
