"""``seamark proxy`` as a process on a node of its own, against the API server over TLS."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import yaml

from seamark.cli.proxy import main
from seamark.client.client import Client
from seamark.machinery.gvr import ENDPOINTSLICES, NODES, SERVICES
from seamark.proxy.configdocument import API_VERSION
from seamark.testing.attachednode import NODE, RUN, VIP, A, Attach, Attached, B, fill
from seamark.testing.networld import OUTSIDE


def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"apiVersion: {API_VERSION}\nkind: KubeProxyConfiguration\nclusterCIDR: x\n")
    assert main(["--config", str(file)]) == 1
    told = "clusterCIDR: 'x' does not appear to be an IPv4 or IPv6 network"
    assert capsys.readouterr().err == f"seamark proxy: {file}: {told}\n"
    assert main(["--kubeconfig", str(tmp_path / "none")]) == 1
    assert "none: No such file or directory" in capsys.readouterr().err
    assert main(["--version"]) == 0


@pytest.mark.net
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_a_proxy_from_a_configuration_file(attach: Attach, client: Client, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    document = {
        "apiVersion": API_VERSION,
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(tmp_path / "kubeconfig")},
        "detectLocalMode": "NodeCIDR",
    }
    file.write_text(yaml.safe_dump(document))
    await fill(client)
    async with attach("--config", str(file), "--hostname-override", "node1") as node:
        await node.world.serve(B, 8080)
        found = json.loads(await node.until("/healthz", 200))
        assert found["nodeEligible"] is True
        assert set(found["status"]) == {"IPv4", "IPv6"}
        assert await node.until("/proxyMode", 200, 10249) == "nftables"
        assert json.loads(await node.until("/configz", 200, 10249))["kubeproxy.config.k8s.io"]["mode"] == "nftables"
        await node.answers(A, VIP, 80, A)
        await node.answers(OUTSIDE, VIP, 80, NODE)
        await node.answers(OUTSIDE, NODE, 30080, NODE)
        await client.patch(
            NODES, "node1", {"spec": {"taints": [{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]}}
        )
        assert json.loads(await node.until("/healthz", 503))["nodeEligible"] is False
        assert (await node.get("/livez", 10256))[0] == 200
        metrics = await node.until("/metrics", 200, 10249)
        for line in (
            'kubeproxy_sync_full_proxy_rules_duration_seconds_count{ip_family="IPv4"}',
            'kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family="IPv6"}',
            "kubeproxy_sync_proxy_rules_endpoint_changes_total 1.0",
            "kubeproxy_sync_proxy_rules_service_changes_total",
            'kubeproxy_proxy_healthz_total{code="503"}',
            "process_resident_memory_bytes",
        ):
            assert line in metrics
        assert (await node.get("/other", 10249))[0] == 404
        file.write_text(yaml.safe_dump({**document, "clusterCIDR": "10.244.0.0/16"}))
        assert await asyncio.wait_for(node.process.wait(), 10) == 1, "ends, to be started anew"
        await node.answers(A, VIP, 80, A)


@pytest.mark.net
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_a_proxy_from_flags_ends_and_leaves_its_rules_until_cleanup(attach: Attach, client: Client) -> None:
    await fill(client)
    flags = ("--kubeconfig", "KUBECONFIG", "--hostname-override", "node1", "--cluster-cidr", "10.244.0.0/16")
    more = ("--healthz-bind-address", "127.0.0.1:20256", "--metrics-bind-address", "127.0.0.1:0", "--masquerade-all")
    async with attach(*flags, *more) as node:
        await node.world.serve(B, 8080)
        await node.until("/livez", 200, 20256)
        await node.answers(A, VIP, 80, NODE)
        node.process.terminate()
        assert await asyncio.wait_for(node.process.wait(), 5) == 0
        await node.answers(A, VIP, 80, NODE)
        theirs = "add table ip theirs\n"
        node.world.run_on_node("nft", theirs)
        node.world.run_on_node(sys.executable, "-c", RUN, "proxy", "--cleanup")
        assert node.world.run_on_node("nft", "list", "ruleset") == "table ip theirs {\n}\n"


@pytest.mark.net
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.skipif(
    shutil.which("iptables-restore", path="/usr/sbin:/sbin:/usr/bin:/bin") is None, reason="needs iptables"
)
async def test_another_mode_takes_over_and_takes_the_rules_of_the_first_away(attach: Attach, client: Client) -> None:
    await fill(client)
    flags = ("--kubeconfig", "KUBECONFIG", "--hostname-override", "node1", "--cluster-cidr", "10.244.0.0/16")
    async with attach(*flags) as node:
        await node.world.serve(B, 8080)
        await node.until("/livez", 200)
    async with attach(*flags, "--proxy-mode", "iptables") as node:
        assert await node.until("/proxyMode", 200, 10249) == "iptables"
        await node.until("/livez", 200)
        async with asyncio.timeout(5):
            while "table ip seamark" in node.world.run_on_node("nft", "list", "ruleset"):  # noqa: ASYNC110 - a process
                await asyncio.sleep(0.05)
        await node.answers(A, VIP, 80, A)
        await node.answers(OUTSIDE, NODE, 30080, NODE)
        node.world.run_on_node(sys.executable, "-c", RUN, "proxy", "--cleanup")
        assert "KUBE-" not in node.world.run_on_node("iptables-save")


@pytest.mark.net
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_remembered_clients_are_listed_and_forgotten(attach: Attach, client: Client, tmp_path: Path) -> None:
    await fill(client)
    await client.patch(SERVICES, "web", {"spec": {"sessionAffinity": "ClientIP"}}, namespace="default")
    flags = ("--kubeconfig", "KUBECONFIG", "--hostname-override", "node1", "--cluster-cidr", "10.244.0.0/16")
    async with attach(*flags) as node:
        await node.world.serve(B, 8080)
        await node.until("/livez", 200)
        await node.answers(A, VIP, 80, A)
        await node.answers(OUTSIDE, NODE, 30080, NODE)

        async def affinity(*words: str) -> str:
            argv = (sys.executable, "-c", RUN, "affinity", *words, "--kubeconfig", str(tmp_path / "kubeconfig"))
            return await asyncio.to_thread(node.world.run_on_node, *argv)

        listed = json.loads(await affinity("list", "default/web", "-o", "json"))
        assert {(row["service"], row["client"], row["endpoint"]) for row in listed} == {
            ("default/web:http", A, f"{B}:8080"),
            ("default/web:http", OUTSIDE, f"{B}:8080"),
        }
        assert all(10_000 < int(row["expires"].removesuffix("s")) <= 10_800 for row in listed)
        assert (await affinity("list", "--client", A)).splitlines()[0].split() == [
            "NODE",
            "SERVICE",
            "CLIENT",
            "ENDPOINT",
            "EXPIRES",
        ]
        assert await affinity("clear", "default/web", "--client", A) == "forgotten: 1\n"
        assert {row["client"] for row in json.loads(await affinity("list", "-o", "json"))} == {OUTSIDE}
        await node.answers(A, VIP, 80, A)
        assert await affinity("clear", "default/web") == "forgotten: 2\n"
        with pytest.raises(subprocess.CalledProcessError) as refused:
            await affinity("list", "default/none")
        assert "affinity: default/none: no such Service" in refused.value.stderr
        await is_pinned(node, affinity)


async def is_pinned(node: Attached, affinity: Callable[..., Awaitable[str]]) -> None:
    """A named endpoint it is from the next connection on, and the memory goes with the endpoint."""
    second = "10.244.1.4"
    await node.world.serve(second, 8080)

    async def endpoints(*addresses: str) -> None:
        patch = {"endpoints": [{"addresses": [ip], "nodeName": "node1"} for ip in addresses]}
        await node.client.patch(ENDPOINTSLICES, "web-x", patch, namespace="default")

    async def leads_to(server: str) -> None:
        async with asyncio.timeout(5):
            while (await node.world.ask(A, VIP, 80)).server != f"{server}:8080":  # noqa: ASYNC110 - the kernel
                await asyncio.sleep(0.02)

    with pytest.raises(subprocess.CalledProcessError) as refused:
        await affinity("pin", "default/web", "--client", A, "--endpoint", second)
    assert f"default/web: no ready endpoint {second}" in refused.value.stderr
    await endpoints(B, second)
    for pinned in (B, second):
        async with asyncio.timeout(5):
            while True:
                try:
                    assert (
                        await affinity("pin", "default/web", "--client", A, "--endpoint", pinned) == "pinned on: here\n"
                    )
                    break
                except subprocess.CalledProcessError:  # the proxy has not heard of the endpoint yet
                    await asyncio.sleep(0.05)
        assert {(await node.world.ask(A, VIP, 80)).server for _ in range(5)} == {f"{pinned}:8080"}
    (row,) = json.loads(await affinity("list", "default/web", "--client", A, "-o", "json"))
    assert (row["endpoint"], row["expires"]) == (f"{second}:8080", "pinned")
    await endpoints(B)
    await leads_to(B)
    await endpoints(B, second)
    await asyncio.sleep(0.2)
    assert {(await node.world.ask(A, VIP, 80)).server for _ in range(10)} == {f"{B}:8080"}


@pytest.mark.net
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_userspace_without_any_right(attach: Attach, client: Client, tmp_path: Path) -> None:
    """No capability at all: node ports work, the ClusterIP once its range is local, and what does not is said once."""
    await fill(client)
    ports = [{"name": "http", "port": 8000, "nodePort": 30080}]
    await client.patch(SERVICES, "web", {"spec": {"ports": ports}}, namespace="default")
    flags = ("--kubeconfig", "KUBECONFIG", "--hostname-override", "node1", "--proxy-mode", "userspace")
    powerless = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
    log = tmp_path / "log"
    with log.open("wb") as errors:
        async with attach(*flags, wrapper=powerless, errors=errors.fileno()) as node:
            await node.world.serve(B, 8080)
            await node.until("/livez", 200)
            await node.answers(OUTSIDE, NODE, 30080, NODE)
            await node.answers(NODE, "127.0.0.1", 30080, NODE)
            node.world.run_on_node("ip", "route", "add", "local", "10.96.0.0/12", "dev", "lo")
            async with asyncio.timeout(15):
                while (await node.world.ask(A, VIP, 8000)).server != f"{B}:8080":  # noqa: ASYNC110 - tried again
                    await asyncio.sleep(0.1)
    said = log.read_text()
    assert said.count("addresses of Services not made this machine's own, so node ports alone work") == 1
    assert said.count(f"cannot listen on {VIP}:8000: Cannot assign requested address") == 1
    assert "Traceback" not in said


@pytest.mark.net
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_a_connection_is_explained(attach: Attach, client: Client, tmp_path: Path) -> None:
    await fill(client)
    flags = ("--kubeconfig", "KUBECONFIG", "--hostname-override", "node1", "--cluster-cidr", "10.244.0.0/16")
    async with attach(*flags) as node:
        await node.world.serve(B, 8080)
        await node.until("/livez", 200)
        await node.answers(OUTSIDE, NODE, 30080, NODE)
        argv = (sys.executable, "-c", RUN, "explain", "conn", "--from", OUTSIDE, "default/web", "--node", "node1")
        where = ("--kubeconfig", str(tmp_path / "kubeconfig"), "-o", "json")
        found = json.loads(await asyncio.to_thread(node.world.run_on_node, *argv, *where))
    assert (found["to"], found["verdict"], found["mend"]) == (f"{NODE}:30080/TCP", "goes to an endpoint", [])
    assert found["serverSees"] == f"an address of node1, {NODE} as a rule"
    kernel = found["kernel"]
    assert kernel["element"].startswith("np { tcp . 30080 : 1:")
    assert kernel["endpoints"] == [f"{B}:8080"]
    assert any("dnat ip to" in line for line in kernel["rule"])
    assert all(f"{B}:8080 sees {NODE}" in line for line in kernel["connections"])
