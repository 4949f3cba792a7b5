"""core/v1 Secret: bytes by key, of a declared type."""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.resources.registry import Resource

SECRET = Resource(
    gvr=gvr.SECRETS,
    singular="secret",
)
