"""Images that nobody uses any more go when the disk gets full: kubelet's imageGCHighThresholdPercent and …Low….

Only images that a registry can give again are ever taken; what was loaded or built here stays until ``image rm``.
The order is that of their last use. Layers go with the last image that has them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from seamark.agent.images.layerstore import layers_in_use
from seamark.agent.images.names import ImageName, InvalidNameError, parse_image_name
from seamark.machinery.clock import Clock

logger = logging.getLogger(__name__)

YOUNGEST = 120.0
"""Seconds since its last use for which an image is never taken."""


@dataclass(frozen=True, slots=True)
class GarbagePolicy:
    """Percent of the disk in use above which images go (100 = never), and at which enough are gone."""

    high: int = 85
    low: int = 80


DEFAULT_POLICY = GarbagePolicy()


@dataclass(frozen=True, slots=True)
class Held:
    """An image of the store. ``layers`` are the names of their directories; ``pulled``: its registry has it."""

    name: str
    created: float
    layers: frozenset[str]
    pulled: bool


class Store(Protocol):
    @property
    def directory(self) -> Path: ...

    def held(self) -> Iterator[Held]: ...

    def remove(self, name: ImageName) -> bool: ...

    def collect_layers(self, in_use: frozenset[str]) -> tuple[int, int]: ...


class Collector:
    """``used``: when an image was last asked for, since this process began. ``named``: by node, what its pods name."""

    def __init__(self, store: Store, policy: GarbagePolicy, clock: Clock) -> None:
        self.used: dict[str, float] = {}
        self.named: dict[str, frozenset[str]] = {}
        self._store = store
        self._policy = policy
        self._clock = clock

    def collect(self, *, everything: bool) -> None:
        """Blocks. Without ``everything`` only above the policy's threshold, and down to its lower one."""
        directory, policy = self._store.directory, self._policy
        if not everything and percent_used(directory) < policy.high:
            return
        mounted = layers_in_use()
        if mounted is None:
            return
        named = {_normalized(name) for names in self.named.values() for name in names}
        for name in select_garbage(self._store.held(), self.used, mounted=mounted, named=named, now=self._clock.time()):
            if not everything and percent_used(directory) <= policy.low:
                break
            self._store.remove(parse_image_name(name))
            self._store.collect_layers(mounted)
            logger.info("image removed to free disk image=%s", name)
        self._store.collect_layers(mounted)
        if percent_used(directory) >= policy.high:
            logger.warning("the disk of the images is still %.0f %% full", percent_used(directory))


def select_garbage(
    images: Iterable[Held], used: dict[str, float], *, mounted: frozenset[str], named: set[str], now: float
) -> list[str]:
    """Names in the order in which they should go. An image whose layers are all mounted runs somewhere."""

    def last_used(image: Held) -> float:
        return max(image.created, used.get(image.name, 0.0))

    def is_free(image: Held) -> bool:
        runs = bool(image.layers) and image.layers <= mounted
        return image.pulled and image.name not in named and not runs and now - last_used(image) >= YOUNGEST

    return [image.name for image in sorted(filter(is_free, images), key=last_used)]


def percent_used(directory: Path) -> float:
    """Of the filesystem that the directory lies on, as df shows it."""
    fs = os.statvfs(directory)
    used = fs.f_blocks - fs.f_bfree
    return 100 * used / max(1, used + fs.f_bavail)


def _normalized(name: str) -> str:
    try:
        return str(parse_image_name(name))
    except InvalidNameError:
        return name
