"""The 422 for a patch that does not fit the object: Kubernetes' message names no cause, ``details.causes`` does."""

from __future__ import annotations

from seamark.machinery.status import Cause, StatusError


def unfit_patch(why: str) -> StatusError:
    """kubectl shows it as ``The request is invalid: patch: WHY``."""
    message = "the server rejected our request due to an error in our request"
    cause = Cause("FieldValueInvalid", why, "patch")
    return StatusError(422, "Invalid", message, details={"causes": [cause.as_dict()]})
