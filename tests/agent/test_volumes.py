"""Files of volumes: what they hold, and how they change under a reader."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from seamark.agent.configdata import ConfigMap, Ref, Secret
from seamark.agent.downward import PodFacts
from seamark.agent.messages import read_message
from seamark.agent.poddir import PodDir, check_host_path, plan_mounts
from seamark.agent.podspec import Container, HostPath, Pod, TokenSource
from seamark.agent.volumefiles import write_files
from seamark.agent.volumes import File, VolumeError, plan_files, select_tokens
from seamark.linux.runtime import ContainerState
from seamark.model import codec

FACTS = PodFacts("10.244.1.2", "192.0.2.1", "node1", "web", {})
CONFIGS = {
    Ref("ConfigMap", "conf"): codec.convert({"data": {"a": "1"}, "binaryData": {"b": "AP8="}}, ConfigMap),
    Ref("Secret", "secret"): codec.convert({"data": {"token": "aGk="}}, Secret),
}


def files(volume: dict[str, Any], **tokens: str) -> dict[str, tuple[bytes, int]]:
    meta = {"name": "web", "namespace": "default", "labels": {"b": "2", "a": 'x"y'}}
    pod = codec.convert({"metadata": meta, "spec": {"volumes": [{"name": "v", **volume}]}}, Pod)
    known = dict.fromkeys(select_tokens(pod), tokens.get("token", ""))
    found = plan_files(pod, (pod.spec.volumes or [])[0], configs=CONFIGS, tokens=known, facts=FACTS)
    return {path: (file.data, file.mode) for path, file in found.items()}


class TestContent:
    def test_config_map(self) -> None:
        assert files({"configMap": {"name": "conf"}}) == {"a": (b"1", 0o644), "b": (b"\x00\xff", 0o644)}

    def test_items_and_modes(self) -> None:
        source = {"name": "conf", "defaultMode": 0o600, "items": [{"key": "a", "path": "x/y"}]}
        assert files({"configMap": source}) == {"x/y": (b"1", 0o600)}
        source["items"] = [{"key": "a", "path": "x", "mode": 0o400}]
        assert files({"configMap": source}) == {"x": (b"1", 0o400)}

    def test_secret(self) -> None:
        assert files({"secret": {"secretName": "secret"}}) == {"token": (b"hi", 0o644)}

    def test_downward(self) -> None:
        items = [
            {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
            {"path": "name", "fieldRef": {"fieldPath": "metadata.name"}},
        ]
        found = files({"downwardAPI": {"items": items}})
        assert found["labels"][0] == b'a="x\\"y"\nb="2"' and found["name"][0] == b"web"

    def test_projected(self) -> None:
        sources = [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
            {"configMap": {"name": "conf", "items": [{"key": "a", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
        ]
        found = files({"projected": {"sources": sources, "defaultMode": 0o640}}, token="jwt")
        assert found == {"token": (b"jwt", 0o640), "ca.crt": (b"1", 0o640), "namespace": (b"default", 0o640)}

    @pytest.mark.parametrize(
        ("volume", "message"),
        [
            ({"configMap": {"name": "nosuch"}}, 'configmap "nosuch" not found'),
            ({"secret": {"secretName": "nosuch"}}, 'secret "nosuch" not found'),
            (
                {"configMap": {"name": "conf", "items": [{"key": "z", "path": "z"}]}},
                "references non-existent config key: z",
            ),
            ({"configMap": {"name": "conf", "items": [{"key": "a", "path": "../z"}]}}, "invalid path '../z'"),
            ({"configMap": {"name": "conf", "items": [{"key": "a", "path": "/z"}]}}, "invalid path '/z'"),
            ({"configMap": {"name": "conf", "items": [{"key": "a", "path": "..data"}]}}, "invalid path '..data'"),
        ],
    )
    def test_errors(self, volume: dict[str, Any], message: str) -> None:
        with pytest.raises(VolumeError) as error:
            files(volume)
        assert str(error.value).startswith(message)

    def test_optional(self) -> None:
        assert files({"configMap": {"name": "nosuch", "optional": True}}) == {}
        source = {"name": "conf", "optional": True, "items": [{"key": "z", "path": "z"}]}
        assert files({"configMap": source}) == {}


class TestWriting:
    def test_update_is_one_switch(self, tmp_path: Path) -> None:
        target = tmp_path / "v"
        assert write_files(target, {"a": File(b"1"), "d/b": File(b"2")}, stamp="one", group=None)
        assert (target / "a").read_bytes() == b"1" and (target / "d/b").read_bytes() == b"2"
        assert os.readlink(target / "a") == "..data/a" and os.readlink(target / "..data") == "..one.0"
        with (target / "a").open("rb") as reader:
            assert write_files(target, {"a": File(b"new")}, stamp="one", group=None)
            assert reader.read() == b"1"
        assert (target / "a").read_bytes() == b"new"
        assert sorted(p.name for p in target.iterdir()) == ["..data", "..one.1", "a"]

    def test_same_again_writes_nothing(self, tmp_path: Path) -> None:
        content = {"a": File(b"1", 0o400)}
        assert write_files(tmp_path / "v", content, stamp="one", group=None)
        assert not write_files(tmp_path / "v", content, stamp="two", group=None)
        assert write_files(tmp_path / "v", {"a": File(b"1", 0o444)}, stamp="two", group=None)

    def test_empty(self, tmp_path: Path) -> None:
        assert write_files(tmp_path / "v", {}, stamp="one", group=None)
        assert [p.name for p in (tmp_path / "v").iterdir() if not p.name.startswith("..")] == []


class TestMounts:
    def mounts(
        self,
        tmp_path: Path,
        *,
        variables: dict[str, str] | None = None,
        empty_dir: Any = None,
        group: int | None = None,
        **mount: Any,
    ) -> Any:
        body = {"name": "web", "volumeMounts": [{"name": "v", "mountPath": "/data", **mount}]}
        spec: dict[str, Any] = {"containers": [body], "volumes": [{"name": "v", "emptyDir": empty_dir or {}}]}
        spec["securityContext"] = {"fsGroup": group}
        pod = codec.convert({"metadata": {"name": "web", "uid": "u1"}, "spec": spec}, Pod)
        directory = PodDir.of(tmp_path, "u1")
        directory.volume("v").mkdir(parents=True, exist_ok=True)
        found = plan_mounts(pod, pod.spec.containers[0], directory, attempt=0, variables=variables or {})
        return {m.target: m for m in found}

    def test_own_files_and_volumes(self, tmp_path: Path) -> None:
        found = self.mounts(tmp_path)
        assert set(found) == {"/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/dev/termination-log", "/data"}

    def test_a_volume_may_take_the_place_of_an_own_file(self, tmp_path: Path) -> None:
        found = self.mounts(tmp_path, mountPath="/etc/hosts")
        assert found["/etc/hosts"].source.endswith("volumes/v")

    def test_sub_path(self, tmp_path: Path) -> None:
        found = self.mounts(tmp_path, subPathExpr="logs/$(POD)", variables={"POD": "web-1"})
        assert found["/data"].source.endswith("volumes/v/logs/web-1") and Path(found["/data"].source).is_dir()

    def test_sub_path_is_as_open_as_its_volume(self, tmp_path: Path) -> None:
        self.mounts(tmp_path)
        PodDir.of(tmp_path, "u1").volume("v").chmod(0o2777)
        found = Path(self.mounts(tmp_path, subPath="logs/web")["/data"].source)
        assert [place.stat().st_mode & 0o7777 for place in (found, found.parent)] == [0o2777, 0o2777]

    @pytest.mark.parametrize(
        ("empty_dir", "group", "options"),
        [
            ({"medium": "Memory"}, None, "mode=0777"),
            ({"medium": "Memory", "sizeLimit": "1Mi"}, None, "mode=0777,size=1048576"),
            ({"medium": "Memory", "sizeLimit": "2k"}, 5555, "mode=2777,gid=5555,size=2000"),
        ],
    )
    def test_memory(self, tmp_path: Path, empty_dir: Any, group: int | None, options: str) -> None:
        found = self.mounts(tmp_path, empty_dir=empty_dir, group=group)["/data"]
        assert (found.kind, found.options) == ("tmpfs", options) and found.source.endswith("volumes/v")

    @pytest.mark.parametrize("path", ["../x", "/etc", "a/../../b"])
    def test_sub_path_stays_inside(self, tmp_path: Path, path: str) -> None:
        with pytest.raises(VolumeError, match="must be relative"):
            self.mounts(tmp_path, subPath=path)

    def test_sub_path_through_a_link_stays_inside(self, tmp_path: Path) -> None:
        self.mounts(tmp_path)
        (PodDir.of(tmp_path, "u1").volume("v") / "out").symlink_to("/etc")
        with pytest.raises(VolumeError, match="leads out of its volume"):
            self.mounts(tmp_path, subPath="out/ssl")

    @pytest.mark.parametrize("uid", ["", "..", "a/b", "/etc"])
    def test_directory_of_a_bad_uid(self, tmp_path: Path, uid: str) -> None:
        with pytest.raises(VolumeError):
            PodDir.of(tmp_path, uid)


class TestHostPath:
    def test_types(self, tmp_path: Path) -> None:
        check_host_path(HostPath(str(tmp_path / "made/new"), "DirectoryOrCreate"))
        assert (tmp_path / "made/new").is_dir()
        check_host_path(HostPath(str(tmp_path / "file"), "FileOrCreate"))
        check_host_path(HostPath(str(tmp_path / "nosuch"), ""))
        with pytest.raises(VolumeError, match=r"hostPath type check failed: .* is not a directory"):
            check_host_path(HostPath(str(tmp_path / "file"), "Directory"))
        with pytest.raises(VolumeError, match="is not a file"):
            check_host_path(HostPath(str(tmp_path / "nosuch"), "File"))


def test_tokens_are_selected() -> None:
    volume = {"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "audience": "x"}}]}}
    pod = codec.convert({"spec": {"volumes": [volume]}}, Pod)
    assert select_tokens(pod) == (TokenSource(path="t", audience="x"),)


class TestTerminationMessage:
    def message(self, tmp_path: Path, *, policy: str, code: int, written: str = "") -> str:
        directory = PodDir.of(tmp_path, "u1")
        directory.prepare_attempt("web", 0)
        directory.termination("web", 0).write_text(written)
        lines = [f"2026-01-01T00:00:00.{n:09d}Z stdout F line {n}\n" for n in range(200)]
        directory.log("web", 0).write_text("".join(lines))
        container = codec.convert({"name": "web", "terminationMessagePolicy": policy}, Container)
        return read_message(directory, container, ContainerState("web", 0, "exited", exit_code=code))

    def test_what_it_wrote(self, tmp_path: Path) -> None:
        assert self.message(tmp_path, policy="FallbackToLogsOnError", code=1, written="bye") == "bye"

    def test_the_end_of_its_log_where_asked_and_where_it_failed(self, tmp_path: Path) -> None:
        shown = self.message(tmp_path, policy="FallbackToLogsOnError", code=1).splitlines()
        assert (len(shown), shown[0], shown[-1]) == (80, "line 120", "line 199")
        assert self.message(tmp_path, policy="FallbackToLogsOnError", code=0) == ""
        assert self.message(tmp_path, policy="File", code=1) == ""


class TestSubPathOfFiles:
    """Secrets lie where only the sandbox sees them; a subPath of one is found there and named as the sandbox does."""

    def mount(self, tmp_path: Path, below: str) -> str:
        inside = tmp_path / "inside"
        write_files(inside, {"key": File(b"1"), "d/x": File(b"2")}, stamp="one", group=None)
        body = {"name": "web", "volumeMounts": [{"name": "v", "mountPath": "/data", "subPath": below}]}
        spec = {"containers": [body], "volumes": [{"name": "v", "secret": {"secretName": "s"}}]}
        pod = codec.convert({"metadata": {"name": "web", "uid": "u1"}, "spec": spec}, Pod)
        directory = PodDir.of(tmp_path, "u1")
        found = plan_mounts(pod, pod.spec.containers[0], directory, attempt=0, variables={}, inside={"v": inside})
        return str(Path(found[-1].source).relative_to(directory.volume("v")))

    @pytest.mark.parametrize(("below", "found"), [("key", "..one.0/key"), ("d", "..one.0/d"), ("d/x", "..one.0/d/x")])
    def test_found(self, tmp_path: Path, below: str, found: str) -> None:
        assert self.mount(tmp_path, below) == found

    @pytest.mark.parametrize("below", ["nosuch", "../x", "/etc"])
    def test_refused(self, tmp_path: Path, below: str) -> None:
        with pytest.raises(VolumeError, match="subPath"):
            self.mount(tmp_path, below)
