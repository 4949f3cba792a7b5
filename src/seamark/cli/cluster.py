"""The composition root of ``seamark up``: one process that is API server, controllers, scheduler, and on each node an
agent and a service proxy. Everything talks through Client over the in-process transport.

Started in stages, stopped in reverse: pods first (their last states still reach the registry), the store last.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import random
import socket
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from seamark.agent.config import CONTROL_PLANE_ROLE, AgentConfig
from seamark.agent.connect import NodeConnector
from seamark.agent.eviction import parse_thresholds
from seamark.agent.images.collecting import GarbagePolicy
from seamark.agent.images.registry import Registries
from seamark.agent.images.store import ImageStore
from seamark.agent.node import NodeAgent
from seamark.api.app import Api
from seamark.api.authn import Authenticator
from seamark.api.compaction import compact_periodically
from seamark.api.config import ApiConfig
from seamark.api.inflight import Inflight
from seamark.api.server import ApiServer, serve_api, server_tls
from seamark.cli.auditing import open_audit
from seamark.cli.corefilewarning import corefile_warnings
from seamark.cli.datadir import DataDir, write_private
from seamark.cli.errors import UserError
from seamark.cli.leaving import Leaving
from seamark.cli.pki import Pki, ensure_pki, render_kubeconfig
from seamark.cli.settings import FABRIC_CIDR, Settings, parse_mirror
from seamark.cli.stages import Stages
from seamark.client.client import Client
from seamark.client.inprocess import InProcessTransport
from seamark.compile.ruleset import NodeConfig
from seamark.controllers.manager import ControllerSettings, run_controllers
from seamark.controllers.selection import parse_controllers
from seamark.linux import fabric, netns
from seamark.linux.clock import SystemClock
from seamark.linux.podruntime.podruntime import PodRuntime
from seamark.machinery.gvr import CONFIGMAPS, NODES, PODS, SERVICEACCOUNTS, SERVICES
from seamark.machinery.streams import NodeStreams
from seamark.machinery.wire import ADMIN_GROUP, AUTHENTICATED, Identity
from seamark.model import codec
from seamark.model.node import Node
from seamark.model.pod import Pod
from seamark.proxy.backend import NftablesBackend
from seamark.proxy.config import Address
from seamark.proxy.configdocument import Conntrack
from seamark.proxy.loopback import WithLoopbackPorts
from seamark.proxy.options import ProxyOptions
from seamark.proxy.proxy import ServiceProxy
from seamark.proxy.serving import run_ports
from seamark.proxy.sysctls import compile_sysctls
from seamark.resources.table import build_registry
from seamark.scheduler.controller import run_scheduler
from seamark.store.sqlite import SqliteStore

log = logging.getLogger(__name__)

API_PORT_ON_NODE = 6443
READY_SECONDS = 60.0
DNS_MAKERS = frozenset(("deployment-controller", "replicaset-controller"))
DNS_LABEL = "k8s-app=kube-dns"


async def first_of(*tasks: asyncio.Task[None]) -> None:
    """Waits until one of the tasks is done, cancels the others, and raises what the first one raised."""
    done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    for task in done:
        task.result()


def listen_for_pods(pin: Path | None, address: str, port: int) -> socket.socket:
    """The API server's socket on the first node's own address, where ``default/kubernetes`` leads pods."""
    family, kind = socket.AF_INET, socket.SOCK_STREAM
    listener = netns.open_socket(pin, family, kind) if pin is not None else socket.socket(family, kind)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise UserError(f"up: port {port} on {address}: {error.strerror}; end what uses it, or give --port") from None
    listener.setblocking(False)
    return listener


class Cluster:
    """``start`` raises UserError, or the error of the part that failed; ``stop`` is safe after either."""

    def __init__(self, data: DataDir, settings: Settings, listener: socket.socket) -> None:
        self._data = data
        self._settings = settings
        self._controllers = parse_controllers(settings.controllers)
        self._sockets = [listener]
        self._clock = SystemClock()
        mirrors = tuple(parse_mirror(mirror) for mirror in settings.registry_mirrors)
        registries = Registries(frozenset(settings.insecure_registries), mirrors) if settings.pull else None
        garbage = GarbagePolicy(*settings.image_gc)
        self._images = ImageStore(data.images, self._clock, registries=registries, garbage=garbage)
        self._tasks: list[asyncio.Task[None]] = []
        self._agents: dict[str, NodeAgent] = {}
        self._runtimes: list[PodRuntime] = []
        self._proxies: list[ServiceProxy] = []
        self._leaving: Leaving | None = None
        self._store: SqliteStore | None = None
        self._server: ApiServer | None = None
        self._api: Api | None = None

    async def start(self, stages: Stages, *, kubeconfig: Path) -> None:
        settings = self._settings
        if settings.nodes and not settings.host:
            with stages.stage("joining the nodes' network") as said:
                made = await asyncio.to_thread(self._build_fabric)
                said.append(f"network of {settings.nodes} node(s) {'made' if made else 'adopted'}")
        with stages.stage("starting the API server") as said:
            if settings.nodes and settings.host:
                self._sockets.append(listen_for_pods(None, self._node_address(0), settings.port))
            if settings.advertise_address:
                self._sockets.append(listen_for_pods(None, settings.advertise_address, settings.port))
            pki = self._make_pki()
            await self._start_api(pki)
            write_private(kubeconfig, render_kubeconfig(pki, self._url, token=False).encode())
            said.append(f"API server ready on {self._url}")
        with stages.stage("starting controllers and scheduler") as said:
            self._start_control(pki)
            await self._watched(self._default_namespace())
            said.append("controllers and scheduler running")
        if not settings.nodes:
            return
        with stages.stage("starting the nodes") as said:
            self._start_leaving()
            for index, name in enumerate(settings.node_names):
                self._start_node(index, name)
            await self._watched(self._nodes_ready())
            said.append(f"{', '.join(settings.node_names)} ready")
        if settings.disable_kube_proxy or not self._controllers >= DNS_MAKERS:
            return  # the DNS waits for other people's programs
        with stages.stage("starting the DNS") as said:
            await self._watched(self._dns_ready())
            said.append(f"DNS answering on {settings.cluster_dns}, domain {settings.cluster_domain}")

    async def failure(self) -> None:
        """Waits for a part that ends by itself, which none ever should, and raises what ended it."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
            raise RuntimeError(f"{task.get_name()} ended")

    async def stop(self, *, end_pods: bool) -> None:
        """Ends pods where asked, then everything else; what fails on the way is logged and does not keep the rest.

        Pods that are not ended keep running with their network and rules: the next start adopts them.
        """
        await asyncio.gather(*(self._safely(a.shutdown(stop_pods=end_pods)) for a in self._agents.values()))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for proxy in self._proxies if end_pods else ():
            await self._safely(proxy.remove())
        for runtime in self._runtimes:
            await self._safely(runtime.close())
        if self._server is not None:
            await self._safely(self._server.close())
        if self._store is not None:
            await self._safely(self._store.close())
        for listener in self._sockets:
            listener.close()
        if end_pods and not self._settings.host:
            fabric.remove_fabric(self._data.namespaces)

    def summary(self) -> str:
        count = self._settings.nodes
        return f"{count} node{'' if count == 1 else 's'}" if count else "no nodes"

    @property
    def _url(self) -> str:
        return f"https://127.0.0.1:{self._settings.port}"

    def _pin(self, name: str) -> Path | None:
        return None if self._settings.host else self._data.namespace(name)

    def _node_address(self, index: int) -> str:
        if not self._settings.host:
            return self._settings.node_address(index)
        try:
            return fabric.machine_address()
        except OSError as error:
            raise UserError(f"up: --host: this machine has no address to the outside: {error.strerror}") from None

    def _build_fabric(self) -> bool:
        settings = self._settings
        nodes = [
            fabric.FabricNode(name, settings.node_address(i), settings.node_pod_cidr(i))
            for i, name in enumerate(settings.node_names)
        ]
        made = fabric.build_fabric(self._data.namespaces, nodes, cidr=FABRIC_CIDR)
        self._sockets.append(listen_for_pods(self._pin(settings.node_names[0]), nodes[0].address, API_PORT_ON_NODE))
        return made

    def _make_pki(self) -> Pki:
        settings = self._settings
        service = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")
        names = ["localhost", "127.0.0.1", *service, f"{service[-1]}.{settings.cluster_domain}", settings.kubernetes_ip]
        if settings.nodes:
            names.append(self._node_address(0))
        if settings.advertise_address:
            names.append(settings.advertise_address)
        return ensure_pki(self._data.pki, server_names=names, now=datetime.datetime.now(datetime.UTC))

    async def _start_api(self, pki: Pki) -> None:
        settings = self._settings
        self._store = SqliteStore(self._data.database, now=self._clock.time)
        config = ApiConfig(
            service_cidrs=(settings.service_cidr,),
            node_port_range=settings.node_ports,
            held_back_ips=(settings.kubernetes_ip, settings.cluster_dns),
            service_account_key=pki.service_account_key.read_bytes(),
            issuer=f"https://kubernetes.default.svc.{settings.cluster_domain}",
            audiences=(f"https://kubernetes.default.svc.{settings.cluster_domain}",),
            advertise_address=f"127.0.0.1:{settings.port}",
            tokens={pki.admin_token: Identity("kubernetes-admin", (ADMIN_GROUP,))},
        )
        self._api = Api(
            store=self._store,
            registry=build_registry({CONFIGMAPS: corefile_warnings}),
            clock=self._clock,
            config=config,
            nodes=self._streams,
            audit=open_audit(settings, self._clock),
        )
        for problem in await self._api.start():
            log.warning("stored object: %s", problem)
        self._server = await serve_api(
            self._api,
            sockets=self._sockets,
            tls=server_tls(certificate=pki.server_cert, key=pki.server_key, client_ca=pki.ca_cert),
            authenticate=Authenticator(self._api.core),
            inflight=Inflight(reading=settings.max_requests_inflight, mutating=settings.max_mutating_requests_inflight),
        )
        self._run("compaction", compact_periodically(self._store, clock=self._clock))

    def _streams(self, node: str) -> NodeStreams | None:
        return self._agents.get(node)

    def _client(self, user: str, *groups: str) -> Client:
        assert self._api is not None
        identity = Identity(user, (*groups, AUTHENTICATED))
        return Client(InProcessTransport(self._api.handle), agent=_agent(user), identity=identity)

    def _start_control(self, pki: Pki) -> None:
        settings = self._settings
        control = ControllerSettings(
            cluster_domain=settings.cluster_domain,
            cluster_dns=settings.cluster_dns,
            kubernetes_ip=settings.kubernetes_ip,
            api_endpoint=self._api_endpoint(),
            ca_pem=pki.ca_pem,
            ca_key_pem=pki.ca_key_pem,
            enabled=self._controllers,
            node_local_dns=settings.node_local_dns,
        )
        manager = self._client("system:kube-controller-manager")
        self._run("controllers", run_controllers(manager, clock=self._clock, settings=control, rng=random.Random()))
        scheduler = self._client("system:kube-scheduler")
        self._run("scheduler", run_scheduler(scheduler, clock=self._clock))

    def _api_endpoint(self) -> tuple[str, int] | None:
        """Where the Service kubernetes leads."""
        settings = self._settings
        if settings.nodes:
            return self._node_address(0), settings.port if settings.host else API_PORT_ON_NODE
        return (settings.advertise_address, settings.port) if settings.advertise_address else None

    def _start_node(self, index: int, name: str) -> None:
        settings, pin = self._settings, self._pin(name)
        state = self._data.node(name)
        state.mkdir(parents=True, exist_ok=True)
        address = self._node_address(index)
        runtime = PodRuntime(state_dir=state, node_namespace=pin, clock=self._clock, program=settings.oci_runtime)
        agent = NodeAgent(
            AgentConfig(
                node=name,
                node_ip=address,
                pod_cidr=settings.node_pod_cidr(index),
                state_dir=state,
                cluster_domain=settings.cluster_domain,
                cluster_dns=(settings.cluster_dns,),
                resolv_conf=self._resolv_conf(state),
                netns=pin,
                roles=(CONTROL_PLANE_ROLE,) if index == 0 else (),
                seccomp_profiles=self._data.root / "seccomp",
                static_pods=self._static_pods(index, name),
                images=self._data.images,
                eviction_hard=parse_thresholds(settings.eviction_hard),
                unrouted=self._leaving.wait_unrouted if self._leaving else None,
            ),
            client=self._client(f"system:node:{name}", "system:nodes"),
            runtime=runtime,
            images=self._images,
            clock=self._clock,
            rng=random.Random(),
        )
        self._runtimes.append(runtime)
        self._agents[name] = agent
        self._run(f"agent of {name}", agent.run())
        if not settings.disable_kube_proxy:
            self._start_proxy(name, address)

    def _start_proxy(self, name: str, address: str) -> None:
        settings, pin, client = self._settings, self._pin(name), self._client("system:kube-proxy")
        node = NodeConfig(name, (address,), (settings.pod_cidr,), (settings.service_cidr,))
        proxy = ServiceProxy(node, client=client, namespace_pin=pin, clock=self._clock, options=self._proxy_options())
        self._proxies.append(proxy)
        self._run(f"proxy of {name}", proxy.run())
        outward = "127.0.0.1" if settings.host else "0.0.0.0"  # a machine's own addresses are not ours to open
        ports = {"healthz": Address(outward, 10256), "metrics": Address("127.0.0.1", 10249)}
        self._run(f"health of proxy of {name}", run_ports(proxy, **ports))

    def _proxy_options(self) -> ProxyOptions:
        """Node ports on loopback as well. Settings of the kernel are a namespace's own; a machine's are not ours."""
        sysctls = {} if self._settings.host else compile_sysctls(Conntrack(max_per_core=0), cpus=1)
        return ProxyOptions(backend=WithLoopbackPorts(NftablesBackend()), sysctls=sysctls)

    def _start_leaving(self) -> None:
        """Asks all nodes' proxies, and DNS from the first node."""
        client, pin = self._client("system:kube-controller-manager"), self._pin(self._settings.node_names[0])
        self._leaving = Leaving(client, self._proxies, NodeConnector(pin), clock=self._clock)
        self._run("leaving", self._leaving.run())

    def _static_pods(self, index: int, node: str) -> Path | None:
        """The folder's own files are the first node's, those in a folder of a node's name are that one's."""
        if not self._settings.static_pods:
            return None
        folder = Path(self._settings.static_pods)
        return folder if index == 0 else folder / node

    def _resolv_conf(self, state: Path) -> Path:
        """The node's resolver settings: the machine's in host mode, else the gateway, which refuses at once."""
        if self._settings.host:
            return Path("/etc/resolv.conf")
        path = state / "resolv.conf"
        path.write_text(f"nameserver {fabric.gateway(FABRIC_CIDR)}\n")
        return path

    def _run(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work, name=name))

    async def _watched(self, work: Coroutine[Any, Any, None]) -> None:
        """Awaits ``work``, at most READY_SECONDS, and raises the error of any part that ends meanwhile."""
        wanted, failed = asyncio.create_task(work), asyncio.create_task(self.failure())
        try:
            async with asyncio.timeout(READY_SECONDS):
                await first_of(wanted, failed)
        except TimeoutError:
            raise UserError(
                f"up: not ready after {READY_SECONDS:.0f} s; `kubectl get pods -A` shows what waits"
            ) from None
        finally:
            wanted.cancel()
            failed.cancel()

    async def _default_namespace(self) -> None:
        """Everything a pod in ``default`` needs is there: nobody's first command meets a cluster that is half made."""
        client = self._client("system:kube-controller-manager")
        needed = {
            "": (SERVICES, "kubernetes"),
            "serviceaccount-controller": (SERVICEACCOUNTS, "default"),
            "root-ca-certificate-publisher-controller": (CONFIGMAPS, "kube-root-ca.crt"),
        }
        for gvr, name in (needed[maker] for maker in needed if maker in ("", *self._controllers)):
            while not await client.list(gvr, namespace="default", query={"fieldSelector": f"metadata.name={name}"}):
                await self._clock.sleep(0.01)

    async def _nodes_ready(self) -> None:
        client = self._client("system:kube-controller-manager")
        wanted = set(self._settings.node_names)
        while wanted:
            for obj in await client.list(NODES):
                node = codec.convert(obj, Node)
                if node.is_ready:
                    wanted.discard(node.metadata.name)
            await self._clock.sleep(0.02)

    async def _dns_ready(self) -> None:
        client = self._client("system:kube-controller-manager")
        query = {"labelSelector": DNS_LABEL}
        while True:
            pods = [codec.convert(p, Pod) for p in await client.list(PODS, namespace="kube-system", query=query)]
            if pods and all(pod.is_ready for pod in pods):
                return
            await self._clock.sleep(0.05)

    async def _safely(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            async with asyncio.timeout(READY_SECONDS):
                await work
        except Exception:
            log.exception("stopping: a part did not end cleanly")


def _agent(user: str) -> str:
    """The user agent by which managedFields know a part: that of Kubernetes' own program."""
    program = "kubelet" if user.startswith("system:node:") else user.removeprefix("system:")
    return f"{program}/seamark"
