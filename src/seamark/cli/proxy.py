"""``seamark proxy``: the service proxy of one node of any cluster, with kube-proxy's configuration file and flags.

Either a file says everything (``--config``, with the name of the node and the verbosity as the only flags that may
stand beside it, as every DaemonSet needs them), or flags do; a flag that the file would override is refused.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path

from msgspec import structs

import seamark
from seamark.client.base import TransportError
from seamark.client.client import Client
from seamark.client.kubeconfig import ApiAccess, KubeconfigError, in_cluster, load_kubeconfig
from seamark.compile.nft import CapacityError
from seamark.compile.ruleset import Family
from seamark.linux.clock import SystemClock
from seamark.linux.errors import RefusedError
from seamark.machinery.status import StatusError
from seamark.proxy.backends import BACKENDS
from seamark.proxy.config import ProxySettings, compile_settings, render_configz
from seamark.proxy.configdocument import API_VERSION, KIND, ConfigError, parse_configuration
from seamark.proxy.options import FAMILIES, SERVICECIDRS, ProxyError
from seamark.proxy.proxy import ServiceProxy
from seamark.proxy.serving import health_handler, metrics_handler, open_ports

HELP = "the service proxy of one node: kube-proxy's configuration, kube-proxy's flags"
WATCH_SECONDS = 2.0
API_SECONDS = 1.0
IPV6 = Path("/proc/net/if_inet6")
"""There only where the kernel has IPv6."""

log = logging.getLogger("seamark.proxy")

BESIDE_CONFIG = frozenset({"config", "hostname_override", "v", "cleanup", "version"})
"""Flags that may stand beside ``--config``."""


def main(argv: list[str]) -> int:
    """Runs until told to end, and leaves the rules; the exit status."""
    options = build_parser().parse_args(argv)
    if options.version:
        print(f"Seamark-{seamark.__version__}")
        return 0
    try:
        if options.cleanup:
            return asyncio.run(_cleanup())
        settings = read_settings(options)
        access = _access(settings.document.client_connection.kubeconfig)
        _configure_logging(settings.document.logging.verbosity)
        for warning in settings.warnings:
            log.warning("not honoured: %s", warning)
        collect_rarely()
        _adjust_oom_score(settings.document.oom_score_adj)
        return asyncio.run(_run(settings, access, Path(options.config) if options.config else None))
    except (ConfigError, KubeconfigError, ValueError) as error:
        where = f"{options.config}: " if options.config and isinstance(error, ConfigError) else ""
        print(f"seamark proxy: {where}{error}", file=sys.stderr)
    except (OSError, RefusedError, CapacityError, ProxyError) as error:
        print(f"seamark proxy: {error}", file=sys.stderr)
    return 1


def read_settings(options: argparse.Namespace) -> ProxySettings:
    """Raises ConfigError, or OSError for a file that cannot be read."""
    given = {name for name, value in vars(options).items() if value not in (None, False)}
    if options.config:
        if extra := sorted(given - BESIDE_CONFIG):
            flag = extra[0].replace("_", "-")
            raise ConfigError(f"--{flag} has no effect beside --config: say it in the file")
        document = parse_configuration(Path(options.config).read_text())
    else:
        document = parse_configuration(_as_document(options))
    name = options.hostname_override or document.hostname_override or socket.gethostname()
    verbosity = document.logging.verbosity if options.v is None else options.v
    logs = structs.replace(document.logging, verbosity=verbosity)
    named = structs.replace(document, hostname_override=name, logging=logs)
    return compile_settings(named, cpus=os.cpu_count() or 1)


def _as_document(options: argparse.Namespace) -> str:
    """The flags as the file that would say the same."""
    mode = options.proxy_mode or ""
    local = None if options.iptables_localhost_nodeports is None else options.iptables_localhost_nodeports == "true"
    section = "nftables" if mode in ("", "nftables") else "iptables"  # mode ipvs masquerades as iptables does
    rules = {"masqueradeAll": options.masquerade_all or None, "masqueradeBit": options.iptables_masquerade_bit}
    found = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "clientConnection": {"kubeconfig": options.kubeconfig},
        "mode": mode,
        "clusterCIDR": options.cluster_cidr,
        "nodePortAddresses": options.nodeport_addresses.split(",") if options.nodeport_addresses else None,
        "bindAddress": options.bind_address,
        "healthzBindAddress": options.healthz_bind_address,
        "metricsBindAddress": options.metrics_bind_address,
        "bindAddressHardFail": options.bind_address_hard_fail or None,
        "detectLocalMode": options.detect_local_mode,
        "detectLocal": {
            "bridgeInterface": options.pod_bridge_interface,
            "interfaceNamePrefix": options.pod_interface_name_prefix,
        },
        section: rules | ({"localhostNodePorts": local} if section == "iptables" else {}),
        **({"iptables": {"localhostNodePorts": local}} if section != "iptables" else {}),
        "conntrack": {
            "maxPerCore": options.conntrack_max_per_core,
            "min": options.conntrack_min,
            "tcpEstablishedTimeout": options.conntrack_tcp_timeout_established,
            "tcpCloseWaitTimeout": options.conntrack_tcp_timeout_close_wait,
            "tcpBeLiberal": options.conntrack_tcp_be_liberal or None,
            "udpTimeout": options.conntrack_udp_timeout,
            "udpStreamTimeout": options.conntrack_udp_timeout_stream,
        },
        "ipvs": {
            "scheduler": options.ipvs_scheduler,
            "strictARP": options.ipvs_strict_arp or None,
            "excludeCIDRs": options.ipvs_exclude_cidrs.split(",") if options.ipvs_exclude_cidrs else None,
            "syncPeriod": options.ipvs_sync_period,
            "minSyncPeriod": options.ipvs_min_sync_period,
            "tcpTimeout": options.ipvs_tcp_timeout,
            "tcpFinTimeout": options.ipvs_tcpfin_timeout,
            "udpTimeout": options.ipvs_udp_timeout,
        },
    }
    return json.dumps(found)


def _access(kubeconfig: str) -> ApiAccess:
    return load_kubeconfig(kubeconfig) if kubeconfig else in_cluster()


async def _cleanup() -> int:
    for mode, backend in BACKENDS.items():
        removed = await backend().remove(FAMILIES, None)
        print(f"{mode}: {'rules removed' if removed else 'nothing of ours'}")
    return 0


async def _run(settings: ProxySettings, access: ApiAccess, file: Path | None) -> int:
    clock = SystemClock()
    client = Client(access.transport(), agent=f"seamark/{seamark.__version__} proxy")
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    told = asyncio.create_task(end.wait())
    work = asyncio.create_task(_work(settings, client, clock))
    watch = asyncio.create_task(_changed(file, clock))
    try:
        await asyncio.wait({told, work, watch}, return_when=asyncio.FIRST_COMPLETED)
        if told.done():
            return 0
        if work.done():
            work.result()
        log.error("the configuration file changed: ending, to be started anew file=%s", file)
        return 1
    finally:
        for task in (told, work, watch):
            task.cancel()
        await asyncio.gather(told, work, watch, return_exceptions=True)
        await client.close()


async def _work(settings: ProxySettings, client: Client, clock: SystemClock) -> None:
    ranges = await _has_service_cidrs(client, clock)
    options = replace(settings.options, service_cidrs_of_api=ranges, families=_families())
    proxy = ServiceProxy(settings.node, client=client, namespace_pin=None, clock=clock, options=options)
    mode = options.backend.mode
    ports = (
        (settings.healthz, health_handler(proxy.monitor)),
        (settings.metrics, metrics_handler(proxy.monitor, mode, lambda: render_configz(settings))),
    )
    async with open_ports(ports, hard_fail=settings.document.bind_address_hard_fail):
        log.info("starting node=%s mode=%s version=%s", settings.node.name, mode, seamark.__version__)
        others = asyncio.create_task(_remove_other_modes(proxy))
        try:
            await proxy.run()
        finally:
            others.cancel()


async def _remove_other_modes(proxy: ServiceProxy) -> None:
    """What we left in another mode goes once the rules of this one are in force."""
    await proxy.ready.wait()
    for mode, backend in BACKENDS.items():
        try:
            if mode != proxy.options.backend.mode and await backend().remove(proxy.families, proxy.namespace_pin):
                log.info("removed our rules of mode %s", mode)
        except (OSError, RefusedError) as error:
            log.info("rules of mode %s, if there are any, stay: %s", mode, error)


def _families() -> tuple[Family, ...]:
    return FAMILIES if IPV6.exists() else FAMILIES[:1]


async def _has_service_cidrs(client: Client, clock: SystemClock) -> bool:
    """Whether the API tells its service ranges; without them, unallocated addresses are simply routed."""
    while True:
        try:
            await client.list_raw(SERVICECIDRS, query={"limit": 1})
        except TransportError as error:
            log.warning("waiting for the API server: %s", error)
            await clock.sleep(API_SECONDS)
        except StatusError as error:
            if error.code in (403, 404):
                log.info("no ServiceCIDRs here: %s", error.message)
                return False
            log.warning("waiting for the API server: %s", error.message)
            await clock.sleep(API_SECONDS)
        else:
            return True


async def _changed(file: Path | None, clock: SystemClock) -> None:
    """Returns when the file says something else; never where there is none."""
    if file is None:
        await asyncio.get_running_loop().create_future()
        return
    first = _read(file)
    while _read(file) == first:
        await clock.sleep(WATCH_SECONDS)


def _read(file: Path) -> bytes | None:
    """None while it is being replaced, which counts as a change."""
    try:
        return file.read_bytes()
    except OSError:
        return None


def _configure_logging(verbosity: int) -> None:
    level = logging.DEBUG if verbosity >= 4 else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s")


def collect_rarely() -> None:
    """A proxy holds many objects that never form cycles: looking through them all costs a third of a big load."""
    gc.set_threshold(100_000, 50, 100)


def _adjust_oom_score(score: int | None) -> None:
    if score is not None:
        try:
            Path("/proc/self/oom_score_adj").write_text(str(score))
        except (OSError, ValueError) as error:
            log.warning("oomScoreAdj: %s: not set: %s", score, error)


def build_parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="seamark proxy", description=HELP, allow_abbrev=False)
    add = found.add_argument
    add("--config", metavar="FILE", help="KubeProxyConfiguration; no other flag but the node's name and -v beside it")
    add("--kubeconfig", metavar="FILE", help="how to reach the API server (default: the pod's service account)")
    add("--proxy-mode", choices=tuple(BACKENDS), help="nftables by default")
    add("--hostname-override", metavar="NAME", help="name of the Node (default: the machine's name)")
    add("--bind-address", metavar="IP", help="the node's address; any = those of the Node object")
    add("--cluster-cidr", metavar="CIDRS", help="ranges of pod addresses: the rest is masqueraded")
    add("--nodeport-addresses", metavar="CIDRS", help="addresses that serve node ports; primary = the Node's own")
    add("--detect-local-mode", metavar="MODE", help="ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix")
    add("--pod-bridge-interface", metavar="NAME", help="the bridge pods are on")
    add("--pod-interface-name-prefix", metavar="PREFIX", help="how interfaces of pods begin")
    add("--healthz-bind-address", metavar="IP:PORT", help="/healthz and /livez (0.0.0.0:10256); port 0 = none")
    add("--metrics-bind-address", metavar="IP:PORT", help="/metrics, /proxyMode, /configz (127.0.0.1:10249)")
    add("--bind-address-hard-fail", action="store_true", help="end where one of these cannot be opened")
    add("--masquerade-all", action="store_true", help="masquerade everything that goes to a ClusterIP")
    add("--iptables-masquerade-bit", type=int, metavar="BIT", help="bit of the packet mark, 14 by default")
    add(
        "--iptables-localhost-nodeports",
        choices=("true", "false"),
        nargs="?",
        const="true",
        help="serve node ports on loopback (by default in mode iptables alone)",
    )
    add("--ipvs-scheduler", metavar="NAME", help="how mode ipvs chooses: rr by default")
    add("--ipvs-strict-arp", action="store_true", help="arp_ignore 1 and arp_announce 2")
    add("--ipvs-exclude-cidrs", metavar="CIDRS", help="addresses whose virtual servers are somebody else's")
    add("--ipvs-sync-period", metavar="TIME", help="a change may wait for twice of it before /healthz tells")
    add("--ipvs-min-sync-period", metavar="TIME", help="least time between two changes of the kernel")
    add("--ipvs-tcp-timeout", metavar="TIME", help="of idle TCP connections; 0 = the kernel's own")
    add("--ipvs-tcpfin-timeout", metavar="TIME", help="of TCP connections after a FIN")
    add("--ipvs-udp-timeout", metavar="TIME", help="of UDP flows")
    add("--conntrack-max-per-core", type=int, metavar="N", help="tracked connections per core (32768; 0 = leave alone)")
    add("--conntrack-min", type=int, metavar="N", help="and at least so many (131072)")
    add("--conntrack-tcp-timeout-established", metavar="TIME", help="of idle TCP connections (24h; 0 = leave alone)")
    add("--conntrack-tcp-timeout-close-wait", metavar="TIME", help="of half-closed ones (1h; 0 = leave alone)")
    add("--conntrack-tcp-be-liberal", action="store_true", help="take packets out of window for what they are")
    add("--conntrack-udp-timeout", metavar="TIME", help="of UDP flows nobody answered (0 = leave alone)")
    add("--conntrack-udp-timeout-stream", metavar="TIME", help="of UDP flows both ways (0 = leave alone)")
    add("--cleanup", action="store_true", help="remove our rules of every mode and end")
    add("--version", action="store_true", help="show the version and end")
    add("-v", "--v", type=int, metavar="LEVEL", help="verbosity: 4 and more = debug")
    return found
