"""Events on the pod that runs this server, so that ``describe`` shows why a Corefile was not taken, or a loop."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from seamark.client.base import TransportError
from seamark.client.client import Client
from seamark.client.kubeconfig import SERVICE_ACCOUNT
from seamark.dns.host import Host
from seamark.machinery.clock import Clock, format_time
from seamark.machinery.gvr import EVENTS_V1, PODS
from seamark.machinery.status import StatusError

INVALID, LOOP = "CorefileInvalid", "ForwardingLoop"
COMPONENT = "coredns"


def own_pod(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """(namespace, name) of the pod we run in; None outside of one."""
    name = environment.get("POD_NAME") or environment.get("HOSTNAME", "")
    namespace = environment.get("POD_NAMESPACE", "")
    if not namespace:
        try:
            namespace = (SERVICE_ACCOUNT / "namespace").read_text().strip()
        except OSError:
            return None
    return (namespace, name) if name and namespace else None


async def report(host: Host, plugins: Iterable[tuple[str, Any]], reason: str, message: str) -> None:
    """Through the API of the plugin kubernetes; nothing outside of a pod. A failure is told in the log alone."""
    pod = own_pod(host.environment)
    client = next((handler.client for name, handler in plugins if name == "kubernetes"), None)
    if pod is None or client is None:
        return
    problem = await _write(client, pod, (reason, message), host.clock)
    if problem:
        host.log(f"[WARNING] the event {reason} could not be written: {problem}")


async def _write(client: Client, pod: tuple[str, str], told: tuple[str, str], clock: Clock) -> str:
    """Empty, or why the Event could not be written: telling must not disturb serving."""
    (namespace, name), (reason, message) = pod, told
    now = format_time(clock.time())
    digest = hashlib.sha256(f"{name}{message}{now}".encode()).hexdigest()[:16]
    try:
        found = await client.get(PODS, name, namespace=namespace)
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{name}.{digest}", "namespace": namespace},
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "Pod",
                "namespace": namespace,
                "name": name,
                "uid": found["metadata"].get("uid", ""),
            },
            "reason": reason,
            "message": message[:1024],
            "type": "Warning",
            "source": {"component": COMPONENT},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        await client.create(EVENTS_V1, event, namespace=namespace)
    except (StatusError, TransportError) as error:
        return str(error)
    return ""
