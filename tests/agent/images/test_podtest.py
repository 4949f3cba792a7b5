"""The tutorial's image: built once, small, and everything the tutorial types works in a pod of it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from seamark.agent.images import POD_TEST, ImageStore, build_pod_test
from seamark.agent.images.podtest import BuildError, Recipe, collect, inputs_digest, place_libraries
from seamark.agent.images.podtest_server import render_answer
from seamark.linux import netns
from seamark.linux.clock import SystemClock
from seamark.linux.podruntime import PodRuntime, remove_all
from seamark.linux.runtime import ContainerConfig, Image, Mount, SandboxConfig
from seamark.testing.clock import FakeClock

LDD = """\
/usr/bin/busybox:
\tnot a dynamic executable
/usr/bin/python3:
\tlinux-vdso.so.1 (0x00007ffd)
\tlibpython3.so.1.0 => /opt/python/lib/libpython3.so.1.0 (0x00007f01)
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f02)
\tlibmissing.so => not found
\t/lib64/ld-linux-x86-64.so.2 (0x00007f03)
"""
needs = [
    pytest.mark.net,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(not shutil.which("busybox"), reason="busybox is not installed"),
]


def needs_machine(test: Callable[..., object]) -> Callable[..., object]:
    for mark in needs:
        test = mark(test)
    return test


def test_libraries_keep_their_place_or_go_beside_libc() -> None:
    recipe = Recipe()
    place_libraries(recipe, LDD)
    nss = {path for path in recipe.files if "libnss" in path}
    assert set(recipe.files) - nss == {
        "lib64/ld-linux-x86-64.so.2",
        "lib/x86_64-linux-gnu/libc.so.6",
        "lib/x86_64-linux-gnu/libpython3.so.1.0",
    }


def test_the_answer_is_the_tutorials() -> None:
    answer = render_answer("10.244.0.5", "10.244.1.7", close=True).decode()
    head, _, body = answer.partition("\r\n\r\n")
    assert re.fullmatch(
        r"kubernetes pod-test v0\.1!! ClientIP: 10\.244\.0\.5, ServerName: \S+, ServerIP: 10\.244\.1\.7!\n", body
    )
    assert f"Content-Length: {len(body)}" in head
    assert "Connection: close" in head


def test_a_changed_input_changes_the_digest(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("1")
    recipe = Recipe(files={"bin/f": str(tmp_path / "f")})
    before = inputs_digest(recipe)
    assert inputs_digest(recipe) == before
    (tmp_path / "f").write_text("12")
    assert inputs_digest(recipe) != before
    recipe.links["bin/g"] = "f"
    assert inputs_digest(recipe) not in {before, inputs_digest(Recipe(files=recipe.files))}


async def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seamark.agent.images.podtest.shutil.which", lambda *_, **__: None)
    with pytest.raises(BuildError, match="busybox is missing on this machine: apt-get install busybox"):
        await collect()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ImageStore:
    store = ImageStore(tmp_path_factory.mktemp("images"), FakeClock())
    asyncio.run(build_pod_test(store))
    return store


@pytest.fixture
async def pods(tmp_path: Path) -> AsyncIterator[PodRuntime]:
    pin, directory = tmp_path / "run" / "node", tmp_path / "nodes" / "node"
    netns.create(pin)
    runtime = PodRuntime(state_dir=directory, node_namespace=pin, clock=SystemClock())
    try:
        yield runtime
    finally:
        await runtime.close()
        await remove_all(directory, pin)
        netns.remove(pin)


def uid(number: int) -> str:
    """Its own in each process: cgroups are named after it, and tests run side by side."""
    return f"u{os.getpid()}-{number}"


async def start(pods: PodRuntime, image: Image, number: int, directory: Path) -> None:
    await pods.create_sandbox(
        SandboxConfig(uid(number), "default", f"web-{number}", f"web-{number}", f"10.244.7.{number}")
    )
    (directory / "resolv.conf").write_text("nameserver 127.0.0.1\noptions ndots:5 timeout:1 attempts:1\n")
    mount = Mount(str(directory / "resolv.conf"), "/etc/resolv.conf")
    log = str(directory / f"{number}.log")
    await pods.start_container(
        ContainerConfig(uid(number), "web", 0, image, image.command, image.env, log, mounts=(mount,))
    )


async def shell(pods: PodRuntime, command: str) -> str:
    _, output = await pods.probe_exec(uid(1), "web", ("/bin/sh", "-c", command), timeout=20)
    return output.decode()


@needs_machine
async def test_what_the_tutorial_types_works_in_it(store: ImageStore, pods: PodRuntime, tmp_path: Path) -> None:
    image = await store.resolve(POD_TEST, policy="Always")
    for number in (1, 2):
        await start(pods, image, number, tmp_path)
    answer = await shell(pods, "until curl -s 10.244.7.2; do sleep 0.02; done")
    assert answer == "kubernetes pod-test v0.1!! ClientIP: 10.244.7.1, ServerName: web-2, ServerIP: 10.244.7.2!\n"
    variables = (await shell(pods, "printenv")).splitlines()
    assert {"HOSTNAME=web-1", "DEPLOYENV=Production", "RELEASE=Stable", r"PS1=[\u@\h \w]\$ "} <= set(variables)
    assert await shell(pods, "ping -c1 no.such.name 2>&1; hostname; cat /etc/resolv.conf | head -1") == (
        "ping: bad address 'no.such.name'\nweb-1\nnameserver 127.0.0.1\n"
    )
    assert "1 packets received" in await shell(pods, "ping -c1 10.244.7.2")
    assert "connection refused" in (await shell(pods, "nslookup -timeout=1 -retry=1 -query=A x.")).lower()
    assert "connection refused" in (await shell(pods, "dig +tries=1 +time=1 x. SRV")).lower()
    assert "10.244.7.1/32" in await shell(pods, "ip address; ls /; env; echo x | grep x; sleep 0; bash -c true")


@needs_machine
async def test_the_server_ends_at_once_on_sigterm(store: ImageStore, pods: PodRuntime, tmp_path: Path) -> None:
    await start(pods, await store.resolve(POD_TEST, policy="Never"), 1, tmp_path)
    assert "pod-test" in await shell(pods, "until curl -s 127.0.0.1; do sleep 0.02; done")
    changes = pods.changes()
    await pods.signal_container(uid(1), "web", signal.SIGTERM)
    await asyncio.wait_for(anext(changes), 5)
    state = await pods.state(uid(1))
    assert state
    assert [(c.status, c.exit_code) for c in state.containers] == [("exited", 0)]


@needs_machine
async def test_it_is_small_and_built_once(store: ImageStore, tmp_path: Path) -> None:
    (image,) = (image for image in store.list_images() if image.name == POD_TEST)
    assert image.size < 150 << 20
    before = [path.stat().st_mtime_ns for path in store.directory.glob("manifests/*")]
    await build_pod_test(store)
    assert [path.stat().st_mtime_ns for path in store.directory.glob("manifests/*")] == before


@needs_machine
async def test_another_name(store: ImageStore) -> None:
    assert (await build_pod_test(store, name="pods/other:1")).name == "pods/other:1"
    names = [image.name for image in store.list_images()]
    assert "docker.io/pods/other:1" in names
    assert POD_TEST in names
