"""A namespace on its way out and what is left in it -> what to delete, or that it may go.

Everything is asked to go at once; what has grace periods or finalizers is waited for. Only then is the finalizer
``kubernetes`` taken away, so that no object ever outlives its namespace.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from seamark.machinery.gvr import GVR
from seamark.model.service import Namespace

FINALIZER = "kubernetes"


class DeleteAll(NamedTuple):
    """A DELETE of each of these collections in the namespace."""

    gvrs: tuple[GVR, ...]


class Wait(NamedTuple):
    """For what was asked to go already."""

    left: int


class Finalize(NamedTuple):
    """The finalizers that stay."""

    finalizers: tuple[str, ...]


def plan_namespace(
    namespace: Namespace, left: Mapping[GVR, int], asked: frozenset[GVR]
) -> DeleteAll | Wait | Finalize | None:
    """``asked`` are the collections whose deletion was already asked for since the namespace is going."""
    finalizers = namespace.spec.finalizers or []
    if namespace.metadata.deletion_timestamp is None or FINALIZER not in finalizers:
        return None
    todo = tuple(gvr for gvr, count in left.items() if count and gvr not in asked)
    if todo:
        return DeleteAll(todo)
    if total := sum(left.values()):
        return Wait(total)
    return Finalize(tuple(f for f in finalizers if f != FINALIZER))
