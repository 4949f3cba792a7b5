"""metav1.Status as an exception: what every failed API call is, on both sides of the wire.

The constructors mirror k8s.io/apimachinery/pkg/api/errors: same code, reason and message shapes, because kubectl
prints the message and clients branch on the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Cause:
    """One ``details.causes`` entry: reason is e.g. FieldValueInvalid, field a path such as ``spec.ports[0].port``."""

    reason: str
    message: str
    field: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {"reason": self.reason, "message": self.message, "field": self.field}


class StatusError(Exception):
    """An API failure. ``code`` is the HTTP status, ``reason`` a metav1.StatusReason.

    ``details`` may be empty and be shown all the same, or be None: Kubernetes makes that difference.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        retry_after: int = 0,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details: dict[str, Any] = dict(details or {})
        self._has_details = details is not None
        if retry_after:
            self.details["retryAfterSeconds"] = retry_after

    @property
    def retry_after(self) -> int:
        return int(self.details.get("retryAfterSeconds", 0))

    def as_dict(self) -> dict[str, Any]:
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if not self.reason:
            del status["reason"]
        if self.details or self._has_details:
            status["details"] = self.details
        return status

    @classmethod
    def from_dict(cls, obj: Mapping[str, Any], code: int = 0) -> StatusError:
        return cls(
            int(obj.get("code") or code or 500),
            str(obj.get("reason", "")),
            str(obj.get("message", "")),
            details=obj.get("details"),
        )


def _details(resource: str, group: str, name: str, causes: Sequence[Cause] = ()) -> dict[str, Any]:
    details: dict[str, Any] = {}
    if name:
        details["name"] = name
    if group:
        details["group"] = group
    if resource:
        details["kind"] = resource
    if causes:
        details["causes"] = [c.as_dict() for c in causes]
    return details


def qualified(resource: str, group: str) -> str:
    """``deployments.apps``, ``services``: how messages name a resource."""
    return f"{resource}.{group}" if group else resource


def not_found(resource: str, name: str, *, group: str = "") -> StatusError:
    message = f'{qualified(resource, group)} "{name}" not found'
    return StatusError(404, "NotFound", message, details=_details(resource, group, name))


def already_exists(resource: str, name: str, *, group: str = "") -> StatusError:
    message = f'{qualified(resource, group)} "{name}" already exists'
    return StatusError(409, "AlreadyExists", message, details=_details(resource, group, name))


def conflict(resource: str, name: str, *, group: str = "", why: str = "") -> StatusError:
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {qualified(resource, group)} "{name}": {why}'
    return StatusError(409, "Conflict", message, details=_details(resource, group, name))


def invalid(kind: str, name: str, causes: Sequence[Cause], *, group: str = "") -> StatusError:
    """422; each cause's message goes behind its field, several are bracketed (field.ErrorList.ToAggregate)."""
    texts = list(dict.fromkeys(f"{c.field}: {c.message}" if c.field else c.message for c in causes))
    listed = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    shown = f"{kind}.{group}" if group else kind
    message = f'{shown} "{name}" is invalid: {listed}'
    return StatusError(422, "Invalid", message, details=_details(kind, group, name, causes))


def forbidden(resource: str, name: str, why: str, *, group: str = "") -> StatusError:
    shown = qualified(resource, group)
    message = f'{shown} "{name}" is forbidden: {why}' if name else f"{shown} is forbidden: {why}"
    return StatusError(403, "Forbidden", message, details=_details(resource, group, name))


def bad_request(message: str) -> StatusError:
    return StatusError(400, "BadRequest", message)


def expired(message: str) -> StatusError:
    return StatusError(410, "Expired", message)


def internal(message: str) -> StatusError:
    text = f"Internal error occurred: {message}"
    return StatusError(500, "InternalError", text, details={"causes": [{"message": message}]})
