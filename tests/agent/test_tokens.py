"""Service account tokens of pods."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.agent.podspec import Pod, TokenSource
from seamark.agent.tokens import TokenKeeper
from seamark.agent.volumes import VolumeError
from seamark.machinery.clock import format_time
from seamark.machinery.status import StatusError
from seamark.model import codec
from seamark.testing.clock import FakeClock


class Issuer:
    """What the keeper asks of a Client."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.asked: list[dict[str, Any]] = []
        self.refuses = False

    async def create(self, gvr: Any, obj: dict[str, Any], **where: str) -> dict[str, Any]:
        if self.refuses:
            raise StatusError(403, "Forbidden", "no")
        self.asked.append({**obj["spec"], **where})
        expires = self.clock.time() + obj["spec"]["expirationSeconds"]
        return {"status": {"token": f"token-{len(self.asked)}", "expirationTimestamp": format_time(expires)}}


SOURCE = TokenSource(path="token", expiration_seconds=3600)


@pytest.fixture
def pod() -> Pod:
    source = {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}
    volumes = [{"name": "v", "projected": {"sources": [source]}}]
    meta = {"name": "web", "namespace": "shop", "uid": "u1"}
    return codec.convert({"metadata": meta, "spec": {"volumes": volumes, "serviceAccountName": "robot"}}, Pod)


@pytest.fixture
def issuer(clock: FakeClock) -> Issuer:
    return Issuer(clock)


@pytest.fixture
def keeper(issuer: Issuer, clock: FakeClock) -> TokenKeeper:
    return TokenKeeper(issuer, clock)  # type: ignore[arg-type]


async def test_is_bound_to_the_pod(keeper: TokenKeeper, issuer: Issuer, pod: Pod) -> None:
    assert await keeper.read(pod) == {SOURCE: "token-1"}
    (asked,) = issuer.asked
    assert asked["boundObjectRef"] == {"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": "u1"}
    assert (asked["namespace"], asked["name"], asked["subresource"]) == ("shop", "robot", "token")


async def test_is_renewed_at_four_fifths(keeper: TokenKeeper, clock: FakeClock, pod: Pod) -> None:
    await keeper.read(pod)
    assert keeper.renew_at == clock.time() + 2880
    await clock.advance(2879)
    assert await keeper.read(pod) == {SOURCE: "token-1"}
    await clock.advance(1)
    assert await keeper.read(pod) == {SOURCE: "token-2"}


async def test_old_one_serves_while_it_is_valid(
    keeper: TokenKeeper, issuer: Issuer, clock: FakeClock, pod: Pod
) -> None:
    await keeper.read(pod)
    await clock.advance(3000)
    issuer.refuses = True
    assert await keeper.read(pod) == {SOURCE: "token-1"}
    assert keeper.renew_at == clock.time() + 10
    await clock.advance(601)
    with pytest.raises(VolumeError, match="failed to fetch token: no"):
        await keeper.read(pod)


async def test_no_token_at_all(keeper: TokenKeeper, issuer: Issuer, pod: Pod) -> None:
    issuer.refuses = True
    with pytest.raises(VolumeError, match="failed to fetch token: no"):
        await keeper.read(pod)
    assert keeper.renew_at is None
