"""Which PersistentVolume a claim gets: asked by the controller that binds, and by the scheduler for a node; pure.

The smallest volume that is large enough, of the same class and mode, with every access mode the claim wants and the
labels it selects (k8s.io/component-helpers/storage/volume). A volume that was set aside for the claim comes first.
"""

from __future__ import annotations

from collections.abc import Iterable

from seamark.machinery.nodematch import matches_term
from seamark.machinery.quantity import QuantityError, parse_quantity
from seamark.machinery.selectors import SelectorError, selector_from
from seamark.model.node import Node
from seamark.model.volume import Amount, PersistentVolume, PersistentVolumeClaim


def select_volume(
    claim: PersistentVolumeClaim,
    volumes: Iterable[PersistentVolume],
    *,
    node: Node | None = None,
    waits: bool = False,
    taken: frozenset[str] = frozenset(),
) -> PersistentVolume | None:
    """``waits``: without a ``node`` only a volume that was set aside for the claim; ``taken`` are names to leave."""
    best: PersistentVolume | None = None
    for volume in volumes:
        if volume.metadata.name in taken or not could_hold(volume, claim):
            continue
        reachable = node is None or is_reachable(volume, node)
        if volume.is_for(claim):
            return volume if reachable else None
        if volume.spec.claim_ref is not None or (waits and node is None) or not reachable:
            continue
        if is_offered_to(volume, claim) and (best is None or _size(volume) < _size(best)):
            best = volume
    return best


def could_hold(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """Large enough, of the right mode and staying: true also of what was set aside."""
    wanted = (claim.spec.resources.requests or {}).get("storage", 0)
    fits = _nanos(wanted) <= _size(volume) and volume.spec.volume_mode == claim.spec.volume_mode
    return fits and volume.metadata.deletion_timestamp is None


def is_offered_to(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    if volume.status.phase != "Available" or volume.storage_class != (claim.storage_class or ""):
        return False
    if not set(claim.spec.access_modes or ()) <= set(volume.spec.access_modes or ()):
        return False
    try:
        return claim.spec.selector is None or selector_from(claim.spec.selector).matches(volume.labels)
    except SelectorError:
        return False


def is_reachable(volume: PersistentVolume, node: Node) -> bool:
    affinity = volume.spec.node_affinity
    if affinity is None or affinity.required is None:
        return True
    return any(matches_term(node, term) for term in affinity.required.get("nodeSelectorTerms") or ())


def _size(volume: PersistentVolume) -> int:
    return _nanos((volume.spec.capacity or {}).get("storage", 0))


def _nanos(amount: Amount) -> int:
    try:
        return parse_quantity(amount).nanos
    except QuantityError:
        return 0
