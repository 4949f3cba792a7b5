"""An agent that comes back: what runs is taken over, what is gone is made again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Obj = dict[str, Any]
StatusOf = Callable[..., Obj]


def runs_again(status_of: StatusOf, count: int) -> Callable[[Any], Any]:
    return lambda pod: status_of(pod)["restartCount"] == count and status_of(pod)["state"].get("running")


class TestAdoption:
    async def test_pods_keep_address_and_containers(self, node: Any, status_of: StatusOf) -> None:
        await node.create()
        before = await node.until_running()
        await node.restart()
        await node.create("second")
        after = await node.until_running("second")
        assert len(node.runtime.started) == 2
        assert after["status"]["podIP"] == "10.244.1.3"
        pod = await node.pod()
        assert pod["status"] == before["status"]
        node.runtime.finish(before["metadata"]["uid"], "web", 1)
        await node.until(lambda p: status_of(p)["restartCount"] == 1 and status_of(p)["state"].get("running"))

    async def test_what_ended_meanwhile_is_seen(self, node: Any, status_of: StatusOf) -> None:
        made = await node.create()
        await node.until_running()
        await node.kill()
        node.runtime.finish(made["metadata"]["uid"], "web", 5)
        await node.restart()
        pod = await node.until(lambda p: status_of(p)["restartCount"] == 1 and status_of(p)["state"].get("running"))
        assert status_of(pod)["lastState"]["terminated"]["exitCode"] == 5

    async def test_a_crashed_machine_holds_nobody_back(self, node: Any, status_of: StatusOf) -> None:
        """Restarts by way of the node going down are no crashes: the third start waits for nothing either."""
        made = await node.create()
        await node.until_running()
        for count in (1, 2, 3):
            await node.kill()
            node.runtime.lose(made["metadata"]["uid"])
            await node.restart()
            await node.until(runs_again(status_of, count))

    async def test_a_crash_loop_is_no_shorter_for_our_restart(self, node: Any, status_of: StatusOf) -> None:
        made = await node.create()
        uid = made["metadata"]["uid"]
        await node.until_running()
        for count in (1, 2):
            node.runtime.finish(uid, "web", 1)
            await node.advance(20)
            await node.until(runs_again(status_of, count))
        await node.restart()
        node.runtime.finish(uid, "web", 1)
        pod = await node.until(lambda p: status_of(p)["state"].get("waiting"))
        assert "back-off 20s" in status_of(pod)["state"]["waiting"]["message"]

    async def test_sandboxes_without_a_pod_are_removed(self, node: Any) -> None:
        made = await node.create()
        await node.until_running()
        await node.kill()
        await node.delete(gracePeriodSeconds=0)
        await node.restart()
        uid = made["metadata"]["uid"]
        await node.wait(lambda: node.runtime.removed == [uid])
        await node.wait(lambda: not (node.state_dir / "pods" / uid).exists())

    async def test_pods_run_again_after_the_node_was_down(self, node: Any, status_of: StatusOf) -> None:
        await node.create()
        await node.until_running()
        await node.agent.shutdown(stop_pods=True)
        down = await node.pod()
        assert status_of(down)["ready"] is False and len(node.runtime.removed) == 1
        await node.restart()
        await node.until(lambda p: status_of(p)["restartCount"] == 1 and status_of(p)["ready"])
