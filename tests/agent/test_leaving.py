"""A deleted pod serves on until nothing sends it new connections; then, and at most a second later, SIGTERM."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from seamark.agent.worker import LEAVE_LINGER, LEAVE_PATIENCE


@pytest.fixture(autouse=True)
async def _guarded(node: Any) -> None:
    node.guarded = True
    await node.restart()


async def test_sigterm_waits_until_no_rule_leads_to_the_pod(node: Any) -> None:
    await node.create()
    ip = (await node.until_running())["status"]["podIP"]
    node.may_leave.clear()
    await node.delete()
    await node.wait(lambda: node.asked_to_leave == [ip])
    await node.advance(LEAVE_PATIENCE / 2)
    assert node.runtime.signals == []
    node.may_leave.set()
    await node.advance(LEAVE_LINGER)
    assert node.runtime.signals == [("web", signal.SIGTERM)]
    await node.until_gone()


async def test_but_not_for_ever(node: Any) -> None:
    await node.create()
    await node.until_running()
    node.may_leave.clear()
    await node.delete()
    await node.wait(lambda: len(node.asked_to_leave) == 1)
    await node.advance(LEAVE_PATIENCE)
    assert node.runtime.signals == [("web", signal.SIGTERM)]
    await node.until_gone()


async def test_nor_when_nobody_can_tell(node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(ip: str) -> None:
        raise RuntimeError("no proxy")

    monkeypatch.setattr(node.may_leave, "wait", lambda: fail(""))
    await node.create()
    await node.until_running()
    await node.delete()
    await node.until_gone()
    assert node.runtime.signals == [("web", signal.SIGTERM)]


async def test_a_pod_deleted_without_grace_does_not_wait(node: Any) -> None:
    await node.create()
    await node.until_running()
    node.may_leave.clear()
    await node.delete(gracePeriodSeconds=0)
    await node.wait(lambda: len(node.runtime.removed) == 1)
    assert node.asked_to_leave == []
