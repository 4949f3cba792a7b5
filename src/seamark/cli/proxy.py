"""``seamark proxy``: the service proxy of one node of any cluster, with kube-proxy's configuration file and flags.

Either a file says everything (``--config``, beside which the name of the node and logging count, as every DaemonSet
needs them), or flags do (``proxyflags.py``).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path

import uvloop
import yaml
from msgspec import structs

import seamark
from seamark.cli.proxyflags import build_parser, compile_flags, over_file, unheard
from seamark.cli.proxylogging import configure_logging
from seamark.client.base import TransportError
from seamark.client.client import Client
from seamark.client.kubeconfig import ApiAccess, KubeconfigError, in_cluster, load_kubeconfig
from seamark.compile.nft import CapacityError
from seamark.compile.ruleset import Family
from seamark.linux.clock import SystemClock
from seamark.linux.errors import RefusedError
from seamark.linux.sysctl import write_sysctls
from seamark.machinery.status import StatusError
from seamark.proxy.backends import BACKENDS, with_connect_hook
from seamark.proxy.config import OOM_SCORE_ADJ, ProxySettings, compile_settings
from seamark.proxy.configdocument import ConfigError, parse_configuration, render_configuration
from seamark.proxy.configz import complete_document, render_configz
from seamark.proxy.options import FAMILIES, SERVICECIDRS, ProxyError
from seamark.proxy.proxy import ServiceProxy
from seamark.proxy.restmetrics import CountedTransport
from seamark.proxy.serving import health_handler, metrics_handler, open_ports

WATCH_SECONDS = 2.0
API_SECONDS = 1.0
LOAD_SECONDS = 60.0
"""So long at most no garbage is looked for: a load makes none, and to look through it costs a fifth of it."""
IPV6 = Path("/proc/net/if_inet6")
"""There only where the kernel has IPv6."""

log = logging.getLogger("seamark.proxy")


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
        if options.write_config_to:
            return _write_config(settings, Path(options.write_config_to))
        configure_logging(settings.document.logging)
        for warning in (*settings.warnings, *unheard(options)):
            log.warning("not honoured: %s", warning)
        if options.init_only:
            return _initialize(settings)
        access = _access(settings.document.client_connection.kubeconfig, options.master or "")
        collect_rarely()
        _adjust_oom_score(settings.document.oom_score_adj)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # half of what an event costs to wake for
            return runner.run(_run(settings, access, Path(options.config) if options.config else None))
    except (ConfigError, KubeconfigError, ValueError) as error:
        where = f"{options.config}: " if options.config and isinstance(error, ConfigError) else ""
        print(f"seamark proxy: {where}{error}", file=sys.stderr)
    except (OSError, RefusedError, CapacityError, ProxyError) as error:
        print(f"seamark proxy: {error}", file=sys.stderr)
    return 1


def read_settings(options: argparse.Namespace) -> ProxySettings:
    """Raises ConfigError, or OSError for a file that cannot be read."""
    text = Path(options.config).read_text() if options.config else yaml.safe_dump(compile_flags(options))
    document = parse_configuration(text)
    over = over_file(options) if options.config else {}
    name = options.hostname_override or document.config.hostname_override or socket.gethostname()
    logs = structs.replace(
        document.config.logging,
        verbosity=over.get("logging.verbosity", document.config.logging.verbosity),
        format=over.get("logging.format", document.config.logging.format),
    )
    named = structs.replace(document.config, hostname_override=name, logging=logs)
    settings = compile_settings(document._replace(config=named), cpus=os.cpu_count() or 1)
    if not options.connect_hook:
        return settings
    backend = with_connect_hook(settings.options.backend, options.connect_hook)
    return replace(settings, options=replace(settings.options, backend=backend))


def _write_config(settings: ProxySettings, file: Path) -> int:
    file.write_text(yaml.safe_dump(render_configuration(complete_document(settings))))
    print(f"written: {file}")
    return 0


def _initialize(settings: ProxySettings) -> int:
    """The kernel settings, which need rights that the rules do not."""
    refused = write_sysctls(None, settings.options.sysctls)
    for line in refused:
        log.error("sysctl not set: %s", line)
    return 1 if refused else 0


def _access(kubeconfig: str, master: str) -> ApiAccess:
    access = load_kubeconfig(kubeconfig) if kubeconfig else in_cluster() if not master else ApiAccess(master)
    return replace(access, base_url=master) if master else access


async def _cleanup() -> int:
    for mode, backend in BACKENDS.items():
        removed = await backend().remove(FAMILIES, None)
        print(f"{mode}: {'rules removed' if removed else 'nothing of ours'}")
    return 0


async def _run(settings: ProxySettings, access: ApiAccess, file: Path | None) -> int:
    clock = SystemClock()
    transport = CountedTransport(access.transport(), access.base_url, clock)
    client = Client(transport, agent=f"seamark/{seamark.__version__} proxy")
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    told = asyncio.create_task(end.wait())
    work = asyncio.create_task(_work(settings, client, transport, clock))
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


async def _work(settings: ProxySettings, client: Client, transport: CountedTransport, clock: SystemClock) -> None:
    ranges = await _has_service_cidrs(client, clock)
    options = replace(settings.options, service_cidrs_of_api=ranges, families=_families())
    proxy = ServiceProxy(settings.node, client=client, namespace_pin=None, clock=clock, options=options)
    transport.register(proxy.monitor.metrics.registry)
    mode = options.backend.mode
    ports = (
        (settings.healthz, health_handler(proxy.monitor)),
        (settings.metrics, metrics_handler(proxy.monitor, mode, lambda: render_configz(settings))),
    )
    async with open_ports(ports, clock=clock, hard_fail=settings.document.bind_address_hard_fail):
        log.info("starting node=%s mode=%s version=%s", settings.node.name, mode, seamark.__version__)
        others = asyncio.create_task(_settle(proxy))
        try:
            await proxy.run()
        finally:
            others.cancel()


async def _settle(proxy: ServiceProxy) -> None:
    """Once the first rules are in force: what has been loaded is kept from the garbage collector, and what we left in
    another mode goes.
    """
    gc.disable()
    try:
        async with asyncio.timeout(LOAD_SECONDS):
            await proxy.ready.wait()
    except TimeoutError:
        log.debug("no rules in force after %g s", LOAD_SECONDS)
    gc.freeze()
    gc.enable()
    await proxy.ready.wait()
    await _remove_other_modes(proxy)


async def _remove_other_modes(proxy: ServiceProxy) -> None:
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


def collect_rarely() -> None:
    """A proxy holds many objects that never form cycles: looking through them all costs a third of a big load."""
    gc.set_threshold(100_000, 50, 100)


def _adjust_oom_score(score: int | None) -> None:
    """The default is tried; only what was asked for is missed."""
    try:
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE_ADJ if score is None else score))
    except (OSError, ValueError) as error:
        if score is not None:
            log.warning("oomScoreAdj: %s: not set: %s", score, error)
