"""The OCI runtime spec of a container, field by field."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

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
    select_user,
)
from seamark.linux.runtime import ContainerConfig, Image, Mount, RuntimeFault

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
    assert [n["type"] for n in spec()["linux"]["namespaces"]] == ["pid", "mount"]
    v2 = spec(around=replace(AROUND, cgroup_version="v2"))
    assert [n["type"] for n in v2["linux"]["namespaces"]] == ["pid", "mount", "cgroup"]


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
        ({"user": 33}, User(33, 34)),
        ({"user": 1000}, User(1000, 0)),
        ({"user": 1000, "group": 2000, "groups": (3, 1)}, User(1000, 2000, (1, 3))),
        ({"groups": (7,)}, User(33, 34, (7, 44))),
    ],
    ids=["image", "same", "user", "all", "groups"],
)
def test_user_of_the_pod_before_the_images(changes: dict[str, Any], expected: User) -> None:
    assert select_user(replace(CONFIG, **changes), User(33, 34, (44,))) == expected


def test_exec_keeps_everything_but_the_command() -> None:
    process = spec(tty=True)["process"]
    again = render_exec(process, ("sh",), tty=False)
    assert (again["args"], again["terminal"]) == (["sh"], False)
    assert {key: again[key] for key in ("user", "cwd", "capabilities")} == {
        key: process[key] for key in ("user", "cwd", "capabilities")
    }
    assert render_exec(process, ("sh",), tty=True)["env"].count("TERM=xterm") == 1
