"""kube-proxy in the node's namespace of a world, in force before anything is asked."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from conformance.building import build_peers
from conformance.peers.checks import output, running
from conformance.proxy.api import ProxyApi
from seamark.linux import netns
from seamark.testing.scenario import POD_CIDRS

SYNCED = re.compile(r'^kubeproxy_sync_proxy_rules_duration_seconds_count\{ip_family="(IPv[46])"\} [1-9]', re.MULTILINE)
PATIENCE = 30.0


def build_kube_proxy() -> Path:
    """Built on first use (needs Go)."""
    return build_peers("kube-proxy") / "kube-proxy"


@asynccontextmanager
async def running_kube_proxy(binary: Path, api: ProxyApi, pin: Path, *, mode: str, log: Path) -> AsyncIterator[None]:
    """Yields once it has written the rules of both families."""
    command = [
        *netns.command(pin, str(binary)),
        f"--kubeconfig={api.write_kubeconfig(log.with_suffix('.kubeconfig'))}",
        "--hostname-override=node1",
        f"--proxy-mode={mode}",
        f"--cluster-cidr={','.join(POD_CIDRS)}",
        "--conntrack-max-per-core=0",
    ]
    with running(command, log) as process:
        until = time.monotonic() + PATIENCE
        while not await _is_in_force(pin):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"kube-proxy in mode {mode} does not come up: {log}")
            await asyncio.sleep(0.1)
        yield


async def _is_in_force(pin: Path) -> bool:
    try:
        told = await output(*netns.command(pin, "curl", "-sf", "http://127.0.0.1:10249/metrics"))
    except RuntimeError:
        return False
    return len(set(SYNCED.findall(told))) == 2
