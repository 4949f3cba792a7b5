"""ClusterIPs as objects: an IPAddress for each one that is given out, and ServiceCIDRs as the ranges they come from.

The pools (``resources/core/allocators.py``) decide, in memory, and follow the store (``api/ranges.py``); this writes
what they gave out. A new Service and its IPAddresses are written together and so share one commit. What a crash leaves
behind is put right by the controller ``ipaddress``.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any

from seamark.api.core import Core
from seamark.api.objects import Obj, encode, labels_of, unpack_entry
from seamark.machinery.clock import format_time
from seamark.machinery.fielderrors import invalid as invalid_cause
from seamark.machinery.status import StatusError, invalid
from seamark.model.ipaddress import ALLOCATOR, FAMILY_LABEL, MANAGED_BY_LABEL
from seamark.resources.core.allocators import ALLOCATED_IP, ServiceReservation, cluster_ips_of
from seamark.resources.networking.ipaddress import IPADDRESS
from seamark.resources.networking.servicecidr import DEFAULT_NAME, SERVICECIDR
from seamark.store.base import Entry, KeyExistsError, RevisionMismatchError


async def write_default_range(core: Core) -> None:
    """The ServiceCIDR ``kubernetes`` with the ranges of the settings, as the API server makes it when it starts."""
    if core.registry.by_kind(SERVICECIDR.gvr.group, SERVICECIDR.gvr.kind) is None:
        return
    key, now = SERVICECIDR.key("", DEFAULT_NAME), format_time(core.clock.time())
    entry = await core.store.get(key=key)
    if entry is not None:
        await _add_second_family(core, key)
        return
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "",
        "message": "Kubernetes default Service CIDR is ready",
        "lastTransitionTime": now,
    }
    obj = _object(SERVICECIDR.gvr.kind, DEFAULT_NAME, now)
    obj |= {"spec": {"cidrs": list(core.config.service_cidrs)}, "status": {"conditions": [ready]}}
    try:
        await core.store.create(key=key, value=encode(obj))
    except KeyExistsError:
        pass  # another API server on the same store was faster


async def _add_second_family(core: Core, key: str) -> None:
    entry, cidrs = await core.store.get(key=key), list(core.config.service_cidrs)
    obj = unpack_entry(entry) if entry is not None else {}
    if entry is None or len(cidrs) == 1 or obj["spec"]["cidrs"] != cidrs[:1]:
        return
    obj["spec"]["cidrs"] = cidrs
    obj["metadata"]["resourceVersion"] = ""
    try:
        await core.store.update(key=key, value=encode(obj), expected=entry.revision)
    except RevisionMismatchError:
        pass


def _object(kind: str, name: str, now: str, labels: dict[str, str] | None = None) -> Obj:
    """``resourceVersion`` first and empty, as objects lie in the store (``api/objects.py``)."""
    meta: dict[str, Any] = {"resourceVersion": "", "name": name, "uid": str(uuid.uuid4()), "creationTimestamp": now}
    if labels:
        meta["labels"] = labels
    return {"kind": kind, "apiVersion": "networking.k8s.io/v1", "metadata": meta}


def render_address(ip: str, service: Obj, now: str) -> bytes:
    """The IPAddress of a ClusterIP, as it is stored."""
    family = "IPv6" if ":" in ip else "IPv4"
    labels = {FAMILY_LABEL: family, MANAGED_BY_LABEL: ALLOCATOR}
    meta = service["metadata"]
    parent = {"resource": "services", "namespace": meta["namespace"], "name": meta["name"]}
    return encode({**_object(IPADDRESS.gvr.kind, ip, now, labels), "spec": {"parentRef": parent}})


async def create_with_addresses(core: Core, obj: Obj, claim: ServiceReservation, *, key: str, value: bytes) -> Entry:
    """Stores a new object and the IPAddresses of what it was given, in one commit or not at all.

    Raises KeyExistsError for the object, and Invalid for an address that just went to somebody else.
    """
    ips = claim.new_ips
    if not ips:
        return await core.store.create(key=key, value=value)
    writes = [*_addresses(core, obj, ips), core.store.create(key=key, value=value)]  # the Service is heard of last
    *made, found = await asyncio.gather(*writes, return_exceptions=True)
    failed = next((one for one in (found, *made) if isinstance(one, BaseException)), None)
    if failed is None:
        assert isinstance(found, Entry)
        return found
    await _undo(core, [found, *made])
    raise _taken(obj, ips) if isinstance(failed, KeyExistsError) and failed is not found else failed


async def claim_addresses(core: Core, obj: Obj, claim: ServiceReservation) -> None:
    """The same ahead of an update, which is rare. Raises Invalid."""
    made = await asyncio.gather(*_addresses(core, obj, claim.new_ips), return_exceptions=True)
    failed = next((one for one in made if isinstance(one, BaseException)), None)
    if failed is not None:
        await _undo(core, made)
        raise _taken(obj, claim.new_ips) if isinstance(failed, KeyExistsError) else failed


def _addresses(core: Core, service: Obj, ips: Sequence[str]) -> list[Coroutine[Any, Any, Entry]]:
    now = format_time(core.clock.time())
    return [core.store.create(key=IPADDRESS.key("", ip), value=render_address(ip, service, now)) for ip in ips]


async def _undo(core: Core, made: Sequence[Entry | BaseException]) -> None:
    for entry in made:
        if isinstance(entry, Entry):
            await core.store.delete(key=entry.key, expected=entry.revision)


def _taken(service: Obj, ips: Sequence[str]) -> StatusError:
    detail = f"failed to allocate IP {ips[0]}: {ALLOCATED_IP}"
    causes = [invalid_cause("spec.clusterIPs", list(ips), detail)]
    return invalid("Service", str(service["metadata"].get("name", "")), causes)


async def drop_addresses(core: Core, ips: Iterable[str]) -> None:
    """The IPAddresses of what a Service held. One that is somebody else's by now stays."""
    for ip in ips:
        entry = await core.store.get(key=IPADDRESS.key("", ip))
        if entry is None or labels_of(entry.value).get(MANAGED_BY_LABEL) != ALLOCATOR:
            continue
        try:
            await core.store.delete(key=entry.key, expected=entry.revision)
        except RevisionMismatchError:
            continue  # the repair controller takes care of it


async def release(core: Core, service: Obj) -> None:
    """Gives back what a deleted Service held."""
    await drop_addresses(core, cluster_ips_of(service))
    core.pools.release(service)


async def adopt_services(core: Core) -> list[str]:
    """At start: takes what stored Services hold. Answers what is wrong with it: taken twice, foreign."""
    problems: list[str] = []
    for row in core.registry.rows:
        if not row.allocate:
            continue
        page = await core.store.list(prefix=row.key_prefix)
        for entry in page.entries:
            obj, where = unpack_entry(entry), entry.key.removeprefix(row.key_prefix)
            problems += [f"{row.gvr.kind} {where}: {why}" for why in core.pools.adopt(obj)]
            await asyncio.gather(*_addresses(core, obj, cluster_ips_of(obj)), return_exceptions=True)
    return problems
