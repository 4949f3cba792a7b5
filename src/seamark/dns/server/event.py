"""An Event that says why a Corefile was not taken, on the pod that runs this server, so that ``describe`` shows it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from seamark.client.base import TransportError
from seamark.client.client import Client
from seamark.client.kubeconfig import SERVICE_ACCOUNT
from seamark.machinery.clock import Clock, format_time
from seamark.machinery.gvr import EVENTS_V1, PODS
from seamark.machinery.status import StatusError

REASON = "CorefileInvalid"
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


async def report_corefile(client: Client, pod: tuple[str, str], message: str, clock: Clock) -> str:
    """Empty, or why the Event could not be written: telling must not disturb serving."""
    namespace, name = pod
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
            "reason": REASON,
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
