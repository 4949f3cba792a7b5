"""docs/replace-coredns.md, followed: ``seamark dns`` as a process of its own against an API server of its own.

Against Seamark's API always; against a kube-apiserver of today, with and without streaming lists, and against the
oldest that the page names, where SEAMARK_PEERS=1 asks for it (``make test-dns-attached``).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import dns.edns
import dns.message
import dns.rcode
import pytest
from conformance.cluster import free_port, running_cluster
from conformance.kubeapi import running_kube_apiserver

from seamark.client.client import Client
from seamark.client.kubeconfig import load_kubeconfig
from seamark.machinery.gvr import (
    CLUSTERROLEBINDINGS,
    CLUSTERROLES,
    CONFIGMAPS,
    ENDPOINTSLICES,
    SERVICEACCOUNTS,
    SERVICES,
)
from seamark.testing.relay import Relay

PAGE = (Path(__file__).parents[2] / "docs" / "replace-coredns.md").read_text()
(COREFILE,) = re.findall(r"```corefile\n(.*?)```", PAGE, re.DOTALL)
APIS = {
    "seamark": lambda: running_cluster("--nodes", "0"),
    "kube-apiserver": running_kube_apiserver,
    "kube-apiserver-without-streaming-lists": lambda: running_kube_apiserver("--feature-gates=WatchList=false"),
    "kube-apiserver-oldest": lambda: running_kube_apiserver(oldest=True),
}
PEERS = pytest.mark.skipif(not os.environ.get("SEAMARK_PEERS"), reason="make test-dns-attached")
ZONE = "default.svc.cluster.local."
pytestmark = pytest.mark.timeout(180)


class World:
    """An API server, and the words of the page with its ports and files in place."""

    def __init__(self, api: Any, root: Path) -> None:
        self.api = api
        self.root = root
        self.relay = Relay(int(api.url.rsplit(":", 1)[1]), free_port())
        self.snapshot = root / "state.json"

    def act(self, work: Callable[[Client], Any]) -> Any:
        """One thing over the API, past the relay."""

        async def run() -> Any:
            client = Client(load_kubeconfig(self.api.kubeconfig).transport())
            try:
                return await work(client)
            finally:
                await client.close()

        return asyncio.run(run())

    def create(self, gvr: Any, name: str, **body: Any) -> dict[str, Any]:
        labels = body.pop("labels", {})
        meta = {"name": name, "namespace": "default", "labels": labels}
        found: dict[str, Any] = self.act(lambda client: client.create(gvr, {"metadata": meta, **body}))
        return found

    def kubeconfig(self) -> Path:
        """The administrator's, through the relay."""
        found = self.root / "kubeconfig"
        found.write_text(self.api.kubeconfig.read_text().replace(self.api.url, f"https://127.0.0.1:{self.relay.port}"))
        return found


class Dns:
    """The server of the page's Corefile, ``access`` saying which API server."""

    def __init__(self, world: World, access: str, *, prefix: tuple[str, ...] = ()) -> None:
        self.port, self._health, self._ready, self._metrics = (free_port() for _ in range(4))
        text = COREFILE.replace("/var/lib/seamark-dns/state.json", f"{world.snapshot}\n        {access}")
        text = text.replace("    ready\n", f"    ready 127.0.0.1:{self._ready}\n")
        text = text.replace("health {", f"health 127.0.0.1:{self._health} {{").replace("lameduck 5s", "lameduck 0s")
        text = text.replace("prometheus :9153", f"prometheus 127.0.0.1:{self._metrics}")
        text = text.replace("forward . /etc/resolv.conf", "forward . 127.0.0.1:1").replace(".:53 {", ". {")
        self.file = world.root / f"Corefile.{self.port}"
        self.file.write_text(text)
        command = [sys.executable, "-m", "seamark", "dns", "-conf", str(self.file), "-dns.port", str(self.port)]
        self.log = world.root / f"log.{self.port}"
        with self.log.open("w") as out:
            self.process = subprocess.Popen([*prefix, *command], stdout=out, stderr=out)

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0, self.log.read_text()

    def http(self, port: int, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=70) as found:
                return found.status, found.read().decode()
        except urllib.error.HTTPError as error:
            with closing(error):
                return error.code, error.read().decode()

    def ready(self) -> tuple[int, str]:
        return self.http(self._ready, "/ready")

    def visible(self, obj: dict[str, Any], timeout: str = "30s") -> int:
        revision = obj["metadata"]["resourceVersion"]
        return self.http(self._health, f"/visible?revision={revision}&timeout={timeout}")[0]

    def metric(self, start: str) -> list[str]:
        return [line for line in self.http(self._metrics, "/metrics")[1].splitlines() if line.startswith(start)]

    def ask(self, name: str, rdtype: str = "A") -> dns.message.Message:
        query = dns.message.make_query(f"{name}.{ZONE}", rdtype, use_edns=0)
        with socket.socket(type=socket.SOCK_DGRAM) as asking:
            asking.settimeout(5)
            asking.sendto(query.to_wire(), ("127.0.0.1", self.port))
            return dns.message.from_wire(asking.recv(4096))

    def addresses(self, name: str) -> set[str]:
        return {rdata.to_text() for rrset in self.ask(name).answer for rdata in rrset}

    def until(self, condition: Callable[[], bool]) -> None:
        """What takes real time: a process to start, a back-off to pass; bounded."""
        end = time.monotonic() + 60
        while True:
            try:
                if condition():
                    return
            except OSError:
                pass
            assert self.process.poll() is None and time.monotonic() < end, self.log.read_text()
            time.sleep(0.05)


@pytest.fixture(scope="module", params=[pytest.param(name, marks=PEERS if name != "seamark" else ()) for name in APIS])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with APIS[request.param]() as api:
        found = World(api, tmp_path_factory.mktemp("attached"))
        spec = {"clusterIP": "None", "ports": [{"name": "sql", "port": 5432}]}
        found.create(SERVICES, "db", spec=spec)
        labels = {"kubernetes.io/service-name": "db"}
        ends = [{"addresses": [f"10.244.1.{n}"], "conditions": {"ready": True}} for n in range(1, 4)]
        found.create(ENDPOINTSLICES, "db-1", labels=labels, addressType="IPv4", endpoints=ends, ports=[])
        found.relay.restore()
        yield found
        found.relay.cut()


@contextmanager
def serving(world: World, access: str = "", **options: Any) -> Iterator[Dns]:
    server = Dns(world, access or f"kubeconfig {world.kubeconfig()}", **options)
    try:
        yield server
        server.end()
    finally:
        server.process.kill()
        server.process.wait(30)


async def make_reader(client: Client) -> str:
    """The token of a service account with the rights that the page names, and no others."""
    meta = {"name": "dns-attached", "namespace": "kube-system"}
    seen = {"apiGroups": [""], "resources": ["services", "namespaces"], "verbs": ["list", "watch"]}
    slices = {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": meta["name"]}
    subjects = [{"kind": "ServiceAccount", **meta}]
    await client.create(SERVICEACCOUNTS, {"metadata": meta})
    await client.create(CLUSTERROLES, {"metadata": {"name": meta["name"]}, "rules": [seen, slices]})
    binding = {"metadata": {"name": meta["name"]}, "roleRef": role, "subjects": subjects}
    await client.create(CLUSTERROLEBINDINGS, binding)
    made = await client.create(SERVICEACCOUNTS, {"spec": {}}, **meta, subresource="token")
    return str(made["status"]["token"])


def is_ready(server: Dns) -> bool:
    return server.ready() == (200, "OK")


def test_the_corefile_of_the_page_is_sound(tmp_path: Path) -> None:
    file = tmp_path / "Corefile"
    file.write_text(COREFILE)
    command = [sys.executable, "-m", "seamark", "corefile", "check", str(file)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


def test_a_change_is_answered_as_soon_as_visible_says_so(world: World) -> None:
    with serving(world) as server:
        server.until(lambda: is_ready(server))
        assert server.addresses("db") == {"10.244.1.1", "10.244.1.2", "10.244.1.3"}
        assert server.http(server._health, "/health") == (200, "OK")
        for number in range(5):
            made = world.create(SERVICES, f"web-{number}", spec={"ports": [{"port": 80}], "selector": {"a": "b"}})
            assert server.visible(made) == 200
            assert server.addresses(f"web-{number}") == {made["spec"]["clusterIP"]}
        world.create(SERVICES, "out", spec={"type": "ExternalName", "externalName": f"web-1.{ZONE}"})
        slice_object = world.act(lambda client: client.get(ENDPOINTSLICES, "db-1", namespace="default"))
        slice_object["endpoints"] = slice_object["endpoints"][:1]
        assert server.visible(world.act(lambda client: client.update(ENDPOINTSLICES, slice_object))) == 200
        assert server.addresses("db") == {"10.244.1.1"}
        denied = server.ask("no")
        assert denied.rcode() == dns.rcode.NXDOMAIN
        assert [option.text for option in denied.options if isinstance(option, dns.edns.EDEOption)] == [
            "there is no Service default/no"
        ]
        counted = server.metric("seamark_dns_propagation_seconds_count")
        kinds = {line.split('service_kind="')[1].split('"')[0] for line in counted}
        assert kinds >= {"cluster_ip", "external_name", "headless_without_selector"}
        exact = {line.split('commit_time="')[1].split('"')[0] for line in counted}
        assert exact == ({"exact"} if not hasattr(world.api, "etcd_port") else {"to_the_second"})
        assert any("coredns_dns_requests_total" in line for line in server.metric("coredns_dns_requests_total"))


def test_streaming_lists_where_they_are_offered(world: World) -> None:
    if not hasattr(world.api, "etcd_port"):
        pytest.skip("counted by a kube-apiserver alone")
    offered = not world.api.options and not world.api.oldest
    counted = [
        line for line in world.api.get("/metrics").splitlines() if line.startswith("apiserver_watch_list_duration")
    ]
    ours = [line for line in counted if 'resource="endpointslices"' in line]
    assert bool(ours) == offered


def test_endpoint_with_a_certificate(world: World) -> None:
    if not hasattr(world.api, "files"):
        pytest.skip("seamark up has its certificate in the kubeconfig")
    certificate, key, authority = world.api.files
    access = f"endpoint https://127.0.0.1:{world.relay.port}\n        tls {certificate} {key} {authority}"
    with serving(world, access) as server:
        server.until(lambda: is_ready(server))
        assert server.addresses("db")


@pytest.mark.skipif(os.geteuid() != 0, reason="a mount namespace of its own needs root")
def test_the_service_account_of_a_pod(world: World) -> None:
    """The files are where a pod has them, in a mount namespace that nobody else sees."""
    files = getattr(world.api, "files", None)
    authority = files[2] if files else world.api.data / "pki" / "ca.crt"
    account = world.root / "serviceaccount"
    account.mkdir(exist_ok=True)
    (account / "ca.crt").write_bytes(authority.read_bytes())
    (account / "token").write_text(world.act(make_reader))
    (account / "namespace").write_text("kube-system")
    there = "/var/run/secrets/kubernetes.io/serviceaccount"
    script = f'mount -t tmpfs none /run && mkdir -p {there} && mount --bind {account} {there} && exec "$@"'
    variables = ("env", "KUBERNETES_SERVICE_HOST=127.0.0.1", f"KUBERNETES_SERVICE_PORT={world.relay.port}")
    prefix = ("unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh", *variables)
    with serving(world, "startup_timeout 5s", prefix=prefix) as server:
        server.until(lambda: is_ready(server))
        assert server.addresses("db")


def test_api_away_later_and_at_the_start(world: World) -> None:
    with serving(world) as server:
        server.until(lambda: is_ready(server))
        before = server.addresses("db")
        made = world.create(SERVICES, "seen", spec={"ports": [{"port": 80}]})
        assert server.visible(made) == 200
        world.relay.cut()
        missed = world.create(SERVICES, "missed", spec={"ports": [{"port": 80}]})
        assert server.addresses("db") == before
        assert server.visible(missed, "1s") == 504, "it does not pretend"
        if hasattr(world.api, "stop"):  # the new process cannot tell what came since: 410
            world.api.stop()
            world.api.start()
        world.relay.restore()
        assert server.visible(missed, "60s") == 200
        assert server.addresses("missed") == {missed["spec"]["clusterIP"]}
        world.relay.cut()
    assert "seen" in world.snapshot.read_text(), "the snapshot follows, at the latest when the server ends"
    with serving(world) as server:
        server.until(lambda: bool(server.addresses("db")))
        assert server.addresses("seen") == {made["spec"]["clusterIP"]}
        status, why = server.ready()
        assert (status, why.startswith("kubernetes (stale, as of 20")) == (503, True)
        assert server.metric("seamark_dns_table_stale") == ["seamark_dns_table_stale 1.0"]
        world.act(lambda client: client.delete(SERVICES, "seen", namespace="default"))
        world.relay.restore()
        server.until(lambda: is_ready(server))
        assert server.ask("seen").rcode() == dns.rcode.NXDOMAIN
        assert server.metric("seamark_dns_table_stale") == ["seamark_dns_table_stale 0.0"]


def test_without_a_snapshot_not_yet_is_no_no(world: World) -> None:
    world.snapshot.unlink(missing_ok=True)
    world.relay.cut()
    with serving(world, f"kubeconfig {world.kubeconfig()}\n        startup_timeout 1s") as server:
        server.until(lambda: server.ask("db").rcode() == dns.rcode.SERVFAIL)
        assert server.ready() == (503, "kubernetes")
        world.relay.restore()
        server.until(lambda: is_ready(server))
        assert server.addresses("db")


def test_explain_works_with_a_kubeconfig(world: World) -> None:
    corefile = COREFILE.replace("        snapshot /var/lib/seamark-dns/state.json\n", "")
    corefile = corefile.replace("/etc/resolv.conf", "192.0.2.1")
    body = {"data": {"Corefile": corefile}}
    meta = {"name": "coredns-explained", "namespace": "kube-system"}
    world.act(lambda client: client.create(CONFIGMAPS, {"metadata": meta, **body}))
    command = [sys.executable, "-m", "seamark", "explain", "dns", "db", "--kubeconfig", str(world.api.kubeconfig)]
    command += ["--config-map", "kube-system/coredns-explained", "-o", "json"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    (step,) = found["walks"][0]["steps"]
    assert step["name"] == f"db.{ZONE}"
    assert step["questions"][0]["records"][0]["object"]["name"] == "db-1"
