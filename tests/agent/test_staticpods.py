"""Static pods: what becomes of the manifests in a folder, and of their mirrors in the API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seamark.agent.podspec import Pod
from seamark.agent.staticpods import HASH, MIRROR, ManifestError, StaticPod, plan_mirrors, render_static_pod
from seamark.model import codec
from seamark.model.meta import ObjectKey

MANIFEST = """
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers: [{name: web, image: "web:1"}]
"""


def render(text: str = MANIFEST, **changes: Any) -> StaticPod:
    options = {"node": "node1", "source": "/m/web.yaml", "now": 0.0} | changes
    return render_static_pod(text, **options)


def test_it_is_named_after_its_node_and_known_by_its_content() -> None:
    pod = render()
    meta = pod.manifest["metadata"]
    assert pod.key == ObjectKey("default", "web-node1")
    assert meta["annotations"] == {
        HASH: pod.uid,
        MIRROR: pod.uid,
        "kubernetes.io/config.source": "file",
        "kubernetes.io/config.seen": "1970-01-01T00:00:00.000000Z",
    }
    assert pod.manifest["spec"]["nodeName"] == "node1"
    assert pod.manifest["spec"]["tolerations"] == [{"operator": "Exists", "effect": "NoExecute"}]
    assert render(now=5.0).uid == pod.uid
    others = {render(node="node2").uid, render(source="/m/b.yaml").uid, render(MANIFEST.replace("web:1", "web:2")).uid}
    assert len(others | {pod.uid}) == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not YAML"),
        ("[]", "not a Pod"),
        ("kind: Pod\napiVersion: v2", "not a Pod"),
        ("kind: Pod\napiVersion: v1\nspec: {}", "needs metadata.name"),
    ],
)
def test_files_that_are_no_pod(text: str, words: str) -> None:
    with pytest.raises(ManifestError, match=words):
        render(text)


def mirror(pod: StaticPod, **meta: Any) -> Pod:
    return codec.convert({"metadata": {**pod.manifest["metadata"], "uid": "u", **meta}}, Pod)


class TestPlan:
    pod = render()

    @property
    def wanted(self) -> dict[str, StaticPod]:
        return {self.pod.uid: self.pod}

    def test_a_missing_mirror_is_made(self) -> None:
        assert plan_mirrors(self.wanted, [], {}).create == (self.pod,)
        assert plan_mirrors(self.wanted, [mirror(self.pod)], {}) == plan_mirrors({}, [], {})

    def test_one_that_is_being_deleted_or_is_of_nothing_goes_first(self) -> None:
        leaving = mirror(self.pod, deletionTimestamp="2026-01-01T00:00:00Z")
        plan = plan_mirrors(self.wanted, [leaving], {})
        assert (plan.create, plan.delete) == ((), (leaving,))
        plan = plan_mirrors({}, [mirror(self.pod)], {})
        assert [p.key for p in plan.delete] == [self.pod.key]

    def test_a_pod_waits_for_the_end_of_the_one_before_it(self) -> None:
        assert plan_mirrors(self.wanted, [], {self.pod.key: frozenset({"older"})}).create == ()
        assert plan_mirrors(self.wanted, [], {self.pod.key: frozenset({self.pod.uid})}).create == (self.pod,)


@pytest.fixture
def folder(node: Any, tmp_path: Path) -> Path:
    made = tmp_path / "manifests"
    made.mkdir()
    node.static_pods = made
    return made


async def test_a_manifest_runs_and_its_mirror_shows_it(node: Any, folder: Path) -> None:
    (folder / "web.yaml").write_text(MANIFEST)
    (folder / ".swp").write_text("{")
    (folder / "bad.yaml").write_text("{")
    await node.restart()
    pod = await node.until_there("web-node1")
    assert pod["metadata"]["ownerReferences"][0]["kind"] == "Node"
    assert "serviceAccountName" not in pod["spec"]
    pod = await node.until_running("web-node1")
    (sandbox,) = await node.runtime.list_sandboxes()
    assert sandbox.config.uid == pod["metadata"]["annotations"][HASH] != pod["metadata"]["uid"]


async def test_deleting_the_mirror_does_not_end_the_pod(node: Any, folder: Path) -> None:
    (folder / "web.yaml").write_text(MANIFEST)
    await node.restart()
    await node.until_there("web-node1")
    first = await node.until_running("web-node1")
    await node.delete("web-node1")
    for _ in range(3):
        await node.advance(1)
    second = await node.until_running("web-node1")
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    assert second["status"]["podIP"] == first["status"]["podIP"]
    assert len(node.runtime.started) == 1 and node.runtime.signals == []


async def test_a_changed_file_is_another_pod_and_a_removed_one_none(node: Any, folder: Path) -> None:
    file = folder / "web.yaml"
    file.write_text(MANIFEST)
    await node.restart()
    await node.until_there("web-node1")
    before = (await node.until_running("web-node1"))["metadata"]["annotations"][HASH]
    node.images.add("web:22", "serve")
    file.write_text(MANIFEST.replace("web:1", "web:22"))
    for _ in range(3):
        await node.advance(1)
    await node.wait(lambda: [c.image.name for c in node.runtime.started] == ["web:1", "web:22"])
    assert node.runtime.removed == [before]
    file.unlink()
    for _ in range(3):
        await node.advance(1)
    await node.until_gone("web-node1")
    await node.wait(lambda: len(node.runtime.removed) == 2)


async def test_an_agent_that_comes_back_adopts_it(node: Any, folder: Path) -> None:
    (folder / "web.yaml").write_text(MANIFEST)
    await node.restart()
    await node.until_there("web-node1")
    await node.until_running("web-node1")
    await node.restart()
    await node.advance(2)
    assert len(node.runtime.started) == 1 and node.runtime.removed == []


async def test_nobody_can_pass_a_pod_off_as_another_ones_mirror(node: Any) -> None:
    made = await node.create()
    await node.until_running()
    fake = {"annotations": {MIRROR: made["metadata"]["uid"], HASH: made["metadata"]["uid"]}}
    await node.create("fake", meta=fake)
    await node.advance(20)
    await node.until_gone("fake")
    assert [c.uid for c in node.runtime.started] == [made["metadata"]["uid"]]
