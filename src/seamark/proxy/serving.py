"""The two HTTP ports of a proxy, as kube-proxy has them: health for whoever asks, metrics for this machine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from seamark.linux.listener import open_listener
from seamark.machinery.clock import Clock
from seamark.proxy.config import Address
from seamark.proxy.metrics import CONTENT_TYPE
from seamark.proxy.monitor import Monitor
from seamark.proxy.proxy import ServiceProxy
from seamark.proxy.webserver import NOT_FOUND, Answer, Handler, WebServer, json_answer

logger = logging.getLogger(__name__)

AGAIN_SECONDS = 5.0


def health_handler(monitor: Monitor) -> Handler:
    """``/healthz`` (is this node good for traffic) and ``/livez`` (does the proxy do its work)."""

    def answer(path: str, _address: str) -> Answer:
        if path not in ("/healthz", "/livez"):
            return NOT_FOUND
        node = path == "/healthz"
        status, found = monitor.health.report(node=node)
        (monitor.metrics.healthz if node else monitor.metrics.livez).labels(str(status)).inc()
        return json_answer(found, status)

    return answer


def metrics_handler(monitor: Monitor, mode: str, configz: Callable[[], object] | None = None) -> Handler:
    """``/metrics``, ``/metrics/slis``, ``/proxyMode``, ``/configz``, and ``/healthz`` as ``ok``."""

    def answer(path: str, _address: str) -> Answer:
        if path == "/metrics":
            return Answer(200, monitor.metrics.render(), CONTENT_TYPE)
        if path == "/metrics/slis":
            return Answer(200, monitor.metrics.render_slis(), CONTENT_TYPE)
        if path == "/proxyMode":
            return Answer(200, mode.encode())
        if path == "/configz" and configz is not None:
            return json_answer(configz())
        if path == "/healthz":
            monitor.metrics.pinged.inc()
            return Answer(200, b"ok")
        return NOT_FOUND

    return answer


Ports = Iterable[tuple[Address | None, Handler]]


@asynccontextmanager
async def open_ports(
    ports: Ports, *, clock: Clock, namespace: Path | None = None, hard_fail: bool = False
) -> AsyncIterator[None]:
    """Serves inside the block. What cannot be opened (another proxy may still have it) is told once and tried again, or
    with ``hard_fail`` raises OSError.
    """
    servers: list[WebServer] = []
    waiting: list[asyncio.Task[None]] = []

    async def serve(address: Address, handler: Handler) -> None:
        listener = open_listener(namespace, address.host, address.port, both=True)
        servers.append(WebServer(listener, handler, clock))
        await servers[-1].start()

    async def serve_later(address: Address, handler: Handler) -> None:
        while True:
            await clock.sleep(AGAIN_SECONDS)
            try:
                await serve(address, handler)
            except OSError:
                continue
            logger.info("listening on %s after all", address)
            return

    try:
        for address, handler in ports:
            if address is None:
                continue
            try:
                await serve(address, handler)
            except OSError as error:
                if hard_fail:
                    raise
                logger.error("%s; trying again", error.strerror)
                waiting.append(asyncio.create_task(serve_later(address, handler)))
        yield
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for server in servers:
            server.close()


async def run_ports(proxy: ServiceProxy, *, healthz: Address, metrics: Address) -> None:
    """Serves the ports of a proxy of this process, in the proxy's namespace, until cancelled."""
    ports = (
        (healthz, health_handler(proxy.monitor)),
        (metrics, metrics_handler(proxy.monitor, proxy.options.backend.mode)),
    )
    async with open_ports(ports, clock=proxy.monitor.clock, namespace=proxy.namespace_pin):
        await asyncio.get_running_loop().create_future()
