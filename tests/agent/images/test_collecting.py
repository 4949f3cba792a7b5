"""Which images go when the disk is full, and in which order."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seamark.agent.images import collecting
from seamark.agent.images.collecting import GarbagePolicy, Held, select_garbage
from seamark.agent.images.names import parse_image_name
from seamark.agent.images.registry import Registries
from seamark.agent.images.store import ImageStore
from seamark.testing.clock import FakeClock

NOW = 10_000.0


def held(name: str, **changes: Any) -> Held:
    values: dict[str, Any] = {"created": 0.0, "layers": frozenset({name}), "pulled": True} | changes
    return Held(name, **values)


def test_the_one_unused_longest_goes_first_and_nothing_that_is_needed() -> None:
    images = [
        held("middle", created=50.0),
        held("old"),
        held("lately-used"),
        held("loaded", pulled=False),
        held("named"),
        held("runs", layers=frozenset({"a", "b"})),
        held("shares", created=60.0, layers=frozenset({"a", "own"})),
        held("young", created=NOW - 1),
    ]
    mounted = frozenset({"a", "b"})
    found = select_garbage(images, {"lately-used": NOW - 5}, mounted=mounted, named={"named"}, now=NOW)
    assert found == ["old", "middle", "shares"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to unpack layers")
class TestCollect:
    @pytest.fixture
    async def store(self, tmp_path: Path, registry: Any, layer: Callable[..., bytes]) -> ImageStore:
        clock = FakeClock()
        made = ImageStore(tmp_path / "images", clock, registries=Registries(), garbage=GarbagePolicy(85, 80))
        for tag in "123":
            registry.push(tag, layer({"name": tag, "data": tag.encode() * 1000}))
            await made.pull(parse_image_name(f"{registry.host}/web:{tag}"))
            await clock.advance(1)
        await clock.advance(4e9)  # layers are old by the clock of the machine, too
        return made

    @pytest.fixture
    def full(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """What the disk is full by, each time somebody looks; the last stays."""
        percents = [84.0]
        monkeypatch.setattr(collecting, "percent_used", lambda _: percents.pop(0) if len(percents) > 1 else percents[0])
        return percents

    async def test_down_to_the_lower_threshold(self, store: ImageStore, full: list[float], registry: Any) -> None:
        await store.collect_garbage("n", frozenset())
        assert len(list(store.held())) == 3
        full[:] = [85.0, 85.0, 79.0]
        await store.collect_garbage("n", frozenset({f"{registry.host}/web:1"}))
        assert sorted(image.name[-1] for image in store.held()) == ["1", "3"]
        assert len(os.listdir(store.directory / "layers")) == 2

    async def test_all_that_can_go(self, store: ImageStore, full: list[float], registry: Any) -> None:
        await store.collect_garbage("other", frozenset({f"{registry.host}/web:2"}))
        await store.collect_garbage("n", frozenset(), everything=True)
        assert [image.name[-1] for image in store.held()] == ["2"]
