"""The OCI runtime spec of a container, field by field."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seamark.linux.podruntime.seccomp import read_profile
from seamark.linux.podruntime.spec import (
    ALL_CAPABILITIES,
    DEFAULT_CAPABILITIES,
    Surroundings,
    User,
    parse_capabilities,
    parse_user,
    render_exec,
    render_spec,
    select_capabilities,
    select_processes,
    select_shared_memory,
    select_user,
)
from seamark.linux.runtime import RUNTIME_DEFAULT, ContainerConfig, Image, Mount, RuntimeFault, SandboxConfig

IMAGE = Image("web:1", "sha256:0", ("/layers/a", "/layers/b"), env=(("A", "1"),), working_dir="/srv")
CONFIG = ContainerConfig("uid-1", "web", 0, IMAGE, ("httpd", "-f"), (("A", "1"), ("B", "x=y")), "/log")
AROUND = Surroundings("web-0", User(), "seamark/uid-1/web-0", "v1", frozenset({"memory", "cpu"}), ("/data",))


def spec(config: ContainerConfig = CONFIG, around: Surroundings = AROUND, **changes: Any) -> dict[str, Any]:
    return render_spec(replace(config, **changes), around)


def mount_at(rendered: dict[str, Any], target: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = [mount for mount in rendered["mounts"] if mount["destination"] == target]
    assert len(found) == 1, f"{target}: {len(found)} mounts"
    return found[0]


def test_process() -> None:
    process = spec()["process"]
    assert process["args"] == ["httpd", "-f"]
    assert process["cwd"] == "/srv"
    assert process["terminal"] is False
    assert process["env"][1:] == ["HOSTNAME=web-0", "A=1", "B=x=y"]
    assert process["env"][0].startswith("PATH=/")


def test_the_containers_own_variables_win_over_defaults() -> None:
    env = spec(env=(("PATH", "/opt"), ("HOSTNAME", "other"), ("TERM", "vt100")), tty=True)["process"]["env"]
    assert sorted(env) == ["HOSTNAME=other", "PATH=/opt", "TERM=vt100"]


def test_working_directory_of_the_pod_before_the_images() -> None:
    assert spec(working_dir="/tmp/x")["process"]["cwd"] == "/tmp/x"
    assert spec(image=replace(IMAGE, working_dir=""))["process"]["cwd"] == "/"


def test_network_ipc_and_uts_are_inherited_from_the_pod() -> None:
    assert spec()["linux"]["namespaces"] == [{"type": "mount"}, {"type": "pid"}]
    v2 = spec(around=replace(AROUND, cgroup_version="v2"))
    assert [n["type"] for n in v2["linux"]["namespaces"]] == ["mount", "pid", "cgroup"]


@pytest.mark.parametrize(
    ("pod", "changes", "found"),
    [
        ({}, {}, ""),
        ({"host_pid": True}, {}, None),
        ({"share_pid": True}, {"target": "web"}, "/proc/7/ns/pid"),
        ({}, {"target": "web"}, "/proc/42/ns/pid"),
    ],
    ids=["own", "machine", "shared", "of another container"],
)
def test_processes(pod: dict[str, Any], changes: dict[str, Any], found: str | None) -> None:
    containers = [
        {"name": "web", "status": "exited", "pid": 41},
        {"name": "web", "status": "running", "pid": 42},
        {"name": "other", "status": "running", "pid": 43},
    ]
    config = replace(CONFIG, **changes)
    sandbox = SandboxConfig("u", "default", "p", "p", **pod)
    assert select_processes(sandbox, config, {"holder": 7, "containers": containers}) == found
    namespaces = spec(around=replace(AROUND, processes=found))["linux"]["namespaces"]
    assert [n.get("path", "") for n in namespaces if n["type"] == "pid"] == ([] if found is None else [found])


def test_a_target_that_does_not_run() -> None:
    with pytest.raises(RuntimeFault, match="its target web does not run"):
        select_processes(SandboxConfig("u", "n", "p", "p"), replace(CONFIG, target="web"), {"containers": []})


def test_shared_memory_goes_with_the_ipc_namespace() -> None:
    own = select_shared_memory(SandboxConfig("u", "n", "p", "p"), "/d/shm")
    assert (own.source, own.kind) == ("/d/shm", "tmpfs")
    assert mount_at(spec(around=replace(AROUND, shared_memory=own)), "/dev/shm")["source"] == "/d/shm"
    assert select_shared_memory(SandboxConfig("u", "n", "p", "p", host_ipc=True), "/d/shm").source == "/dev/shm"


def test_masked_paths_of_proc() -> None:
    assert "/proc/kcore" in spec()["linux"]["maskedPaths"]
    assert spec(unmasked_proc=True)["linux"]["maskedPaths"] == []


class TestSeccomp:
    def test_no_filter_unless_asked_for_and_none_for_a_privileged_container(self) -> None:
        assert "seccomp" not in spec()["linux"]
        assert "seccomp" not in spec(seccomp=RUNTIME_DEFAULT, privileged=True)["linux"]

    def test_the_default_profile_follows_the_capabilities(self) -> None:
        def allowed(**changes: Any) -> set[str]:
            profile = spec(seccomp=RUNTIME_DEFAULT, **changes)["linux"]["seccomp"]
            assert (profile["defaultAction"], profile["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 1)
            calls = profile["syscalls"]
            return {n for c in calls if c["action"] == "SCMP_ACT_ALLOW" and "args" not in c for n in c["names"]}

        assert {"openat", "chroot", "ptrace"} <= allowed()
        assert not {"mount", "unshare", "clone", "clone3", "bpf", "socket", "keyctl"} & allowed()
        assert "chroot" not in allowed(capabilities_drop=("ALL",))
        assert {"mount", "unshare", "clone", "clone3"} <= allowed(capabilities_add=("SYS_ADMIN",))

    def test_new_namespaces_are_refused_by_the_flags_of_clone(self) -> None:
        calls = spec(seccomp=RUNTIME_DEFAULT)["linux"]["seccomp"]["syscalls"]
        (clone,) = [c for c in calls if "clone" in c["names"]]
        assert clone["args"] == [{"index": 0, "op": "SCMP_CMP_MASKED_EQ", "value": 0x7E020000, "valueTwo": 0}]
        (clone3,) = [c for c in calls if "clone3" in c["names"]]
        assert (clone3["action"], clone3["errnoRet"]) == ("SCMP_ACT_ERRNO", 38)

    def test_a_profile_out_of_a_file(self, tmp_path: Path) -> None:
        file = tmp_path / "p.json"
        file.write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
        profile = read_profile(str(file))
        assert spec(seccomp=str(file), around=replace(AROUND, seccomp=profile))["linux"]["seccomp"] == profile

    @pytest.mark.parametrize(
        ("text", "words"),
        [(None, "cannot load seccomp profile"), ("{", "decoding seccomp profile"), ("[]", "no defaultAction")],
    )
    def test_a_file_that_is_none(self, tmp_path: Path, text: str | None, words: str) -> None:
        file = tmp_path / "p.json"
        if text is not None:
            file.write_text(text)
        with pytest.raises(RuntimeFault, match=words) as caught:
            read_profile(str(file))
        assert caught.value.reason == "CreateContainerError"


@pytest.mark.parametrize(
    ("changes", "resources"),
    [
        ({}, {}),
        ({"memory_bytes": 1 << 20}, {"memory": {"limit": 1 << 20}}),
        ({"cpu_millis": 250}, {"cpu": {"period": 100_000, "quota": 25_000}}),
        ({"cpu_millis": 1}, {"cpu": {"period": 100_000, "quota": 1000}}),
    ],
    ids=["none", "memory", "cpu", "least-cpu"],
)
def test_limits(changes: dict[str, Any], resources: dict[str, Any]) -> None:
    found = spec(**changes)["linux"]["resources"]
    found.pop("devices")
    assert found == resources


def test_limits_without_controllers_are_left_out() -> None:
    around = replace(AROUND, cgroup_path="", cgroup_version="none", limits=frozenset())
    rendered = spec(around=around, memory_bytes=1, cpu_millis=1)
    assert set(rendered["linux"]["resources"]) == {"devices"}
    assert "cgroupsPath" not in rendered["linux"]
    assert not [m for m in rendered["mounts"] if m["type"] == "cgroup"]


def test_standard_mounts() -> None:
    rendered = spec()
    assert "ro" in mount_at(rendered, "/sys")["options"]
    assert mount_at(rendered, "/proc")["type"] == "proc"
    for target in ("/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys/fs/cgroup"):
        mount_at(rendered, target)
    assert not [m for m in rendered["mounts"] if m["destination"] in {"/run", "/data"}]


def test_a_host_image_shows_neither_run_time_state_nor_our_data() -> None:
    rendered = spec(image=replace(IMAGE, rootfs=("/",), binds=("/usr",)))
    assert mount_at(rendered, "/run")["type"] == "tmpfs"
    assert mount_at(rendered, "/data")["type"] == "tmpfs"
    assert mount_at(rendered, "/usr")["options"] == ["rbind", "rprivate", "ro"]


def test_mounts_of_the_pod_come_last_and_shallow_before_deep() -> None:
    mounts = (
        Mount("/v/deep", "/srv/a/b"),
        Mount("/v/hosts", "/etc/hosts", read_only=True),
        Mount("", "/cache", kind="tmpfs"),
        Mount("/v/memory", "/srv/memory", kind="tmpfs"),
    )
    tail = spec(mounts=mounts)["mounts"][-4:]
    assert [m["destination"] for m in tail] == ["/cache", "/etc/hosts", "/srv/memory", "/srv/a/b"]
    assert (tail[0]["type"], tail[2]["type"], tail[2]["source"]) == ("tmpfs", "bind", "/v/memory")
    assert "ro" in tail[1]["options"]
    assert "rw" in tail[3]["options"]


def test_privileged_has_everything_and_hides_nothing() -> None:
    rendered = spec(privileged=True, no_new_privileges=True)
    assert rendered["process"]["capabilities"]["bounding"] == list(ALL_CAPABILITIES)
    assert rendered["process"]["noNewPrivileges"] is False
    assert rendered["linux"]["maskedPaths"] == rendered["linux"]["readonlyPaths"] == []
    assert "rw" in mount_at(rendered, "/sys")["options"]
    assert rendered["linux"]["resources"]["devices"] == [{"allow": True, "access": "rwm"}]


def test_restrictions() -> None:
    rendered = spec(read_only_root=True, no_new_privileges=True)
    assert rendered["root"] == {"path": "rootfs", "readonly": True}
    assert rendered["process"]["noNewPrivileges"] is True
    assert "/proc/kcore" in rendered["linux"]["maskedPaths"]
    assert "/proc/sys" in rendered["linux"]["readonlyPaths"]


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        ((), (), set(DEFAULT_CAPABILITIES)),
        (("NET_ADMIN",), (), {*DEFAULT_CAPABILITIES, "CAP_NET_ADMIN"}),
        (("cap_net_admin",), ("ALL",), {"CAP_NET_ADMIN"}),
        ((), ("all",), set()),
        (("ALL",), ("KILL",), set(ALL_CAPABILITIES)),
        ((), ("CAP_KILL", "CHOWN"), set(DEFAULT_CAPABILITIES) - {"CAP_KILL", "CAP_CHOWN"}),
    ],
    ids=["default", "add", "only", "none", "all", "drop"],
)
def test_capabilities(add: tuple[str, ...], drop: tuple[str, ...], expected: set[str]) -> None:
    config = replace(CONFIG, capabilities_add=add, capabilities_drop=drop)
    assert set(select_capabilities(config, ALL_CAPABILITIES)) == expected


def test_a_capability_the_kernel_lacks_is_not_asked_for() -> None:
    assert select_capabilities(replace(CONFIG, privileged=True), ALL_CAPABILITIES[:5]) == ALL_CAPABILITIES[:5]


def test_capabilities_of_this_process_are_its_bounding_set() -> None:
    status = "CapEff:\t0000000000000000\nCapBnd:\t000001fffeffffff\nCapAmb:\t0000000000000000\n"
    assert set(ALL_CAPABILITIES) - set(parse_capabilities(status)) == {"CAP_SYS_RESOURCE"}


def test_unknown_capability() -> None:
    with pytest.raises(RuntimeFault, match='unknown capability "CAP_FLY"'):
        spec(capabilities_add=("FLY",))


def test_another_user_than_root_has_no_effective_capabilities() -> None:
    process = spec(around=replace(AROUND, user=User(1000, 100, (5,))))["process"]
    assert process["user"] == {"uid": 1000, "gid": 100, "additionalGids": [5]}
    assert process["capabilities"]["effective"] == []
    assert process["capabilities"]["bounding"]


def test_no_command_at_all() -> None:
    with pytest.raises(RuntimeFault, match="no command specified"):
        spec(argv=())


PASSWD = "root:x:0:0::/root:/bin/sh\nweb:x:33:33::/:/bin/false\nbad line\n"
GROUP = "root:x:0:\nwww:x:44:web,other\nweb:x:33:\n"


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", User()),
        ("web", User(33, 33, (44,))),
        ("33", User(33, 33, (44,))),
        ("web:www", User(33, 44, (44,))),
        ("1000", User(1000, 0)),
        ("1000:2000", User(1000, 2000)),
    ],
)
def test_user_of_the_image(user: str, expected: User) -> None:
    assert parse_user(user, PASSWD, GROUP) == expected


@pytest.mark.parametrize("user", ["nobody", "web:nogroup"])
def test_user_missing_in_the_image(user: str) -> None:
    with pytest.raises(RuntimeFault) as caught:
        parse_user(user, PASSWD, GROUP)
    assert caught.value.reason == "CreateContainerConfigError"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, User(33, 34, (44,))),
        ({"group": 2000, "groups": (3, 1)}, User(33, 2000, (1, 3, 44))),
        ({"groups": (7,)}, User(33, 34, (7, 44))),
        ({"groups": (7,), "only_given_groups": True}, User(33, 34, (7,))),
    ],
    ids=["account", "group", "groups", "strict"],
)
def test_groups_of_the_pod_beside_those_of_the_account(changes: dict[str, Any], expected: User) -> None:
    assert select_user(replace(CONFIG, **changes), User(33, 34, (44,))) == expected


def test_exec_keeps_everything_but_the_command() -> None:
    process = spec(tty=True)["process"]
    again = render_exec(process, ("sh",), tty=False)
    assert (again["args"], again["terminal"]) == (["sh"], False)
    assert {key: again[key] for key in ("user", "cwd", "capabilities")} == {
        key: process[key] for key in ("user", "cwd", "capabilities")
    }
    assert render_exec(process, ("sh",), tty=True)["env"].count("TERM=xterm") == 1
