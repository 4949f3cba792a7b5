"""What would mend a name that has no answer: pure, out of the table that denied it and the pods of the Service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches

from seamark.compile.dnstable import DnsTable
from seamark.compile.searchlist import Outcome, Step
from seamark.model.meta import ObjectKey
from seamark.model.pod import Pod
from seamark.model.service import Service

MAX_TOLD = 3
SEARCHED = 3


def service_of(labels: Sequence[str]) -> ObjectKey | None:
    """The Service that a name below the zone asks about."""
    if len(labels) < 3 or labels[-1] != "svc":
        return None
    return ObjectKey(labels[-2], labels[-3])


def mend_name(table: DnsTable, labels: Sequence[str]) -> Iterator[str]:
    """For a name of the cluster zone that was denied."""
    if len(labels) >= 2 and labels[-1] == "pod" and table.options.pods == "disabled":
        yield "give the plugin kubernetes `pods insecure` or `pods verified`: names of pods are off"
    key = service_of(labels)
    if key is None or table.service(key) is not None:
        return
    if key.namespace not in table.namespaces:
        for name in get_close_matches(key.namespace, table.namespaces, MAX_TOLD):
            yield f"namespace {key.namespace} does not exist; there is {name}"
    elif not table.exposes(key.namespace):
        yield f"add {key.namespace} to `namespaces` of the plugin kubernetes"
    elsewhere = sorted(k.namespace for k, _ in table.services() if k.name == key.name and table.exposes(k.namespace))
    for namespace in elsewhere[:MAX_TOLD]:
        yield f"Service {key.name} exists in namespace {namespace}: ask for {key.name}.{namespace}"
    if not elsewhere:
        near = [k.name for k, _ in table.services() if k.namespace == key.namespace]
        for name in get_close_matches(key.name, near, MAX_TOLD):
            yield f"there is no Service {key}; did you mean {name}?"


def mend_endpoints(service: Service, pods: Iterable[Pod]) -> Iterator[str]:
    """For a Service without ready endpoints; ``pods`` are those its selector fits."""
    selector = service.spec.selector
    if not selector:
        yield f"Service {service.key} has no selector: make an EndpointSlice for it, or give it one"
        return
    told = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    found = sorted(pods, key=lambda pod: pod.key)
    if not found:
        yield f"no pod of namespace {service.key.namespace} has the labels {told}: create some, or correct the selector"
        return
    unready = [pod for pod in found if not _is_ready(pod)]
    yield f"{len(found) - len(unready)} of {len(found)} pods with {told} are ready"
    for pod in unready[:MAX_TOLD]:
        yield f"Pod {pod.key} is not ready: {_why(pod)}"


def mend_search(name: str, steps: Sequence[Step], result: Outcome) -> Iterator[str]:
    """For a name outside of the cluster that the search list made many of."""
    if result == "outside" and len(steps) > SEARCHED:
        plain = name.rstrip(".")
        yield (
            f"{len(steps) - 1} names are asked for in vain before {steps[-1].name}: write {plain}. with a final dot, "
            f"or give the pod dnsConfig with ndots:{max(1, min(2, plain.count('.')))}"
        )


def _is_ready(pod: Pod) -> bool:
    return any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or [])


def _why(pod: Pod) -> str:
    if pod.metadata.deletion_timestamp:
        return "it is being deleted"
    ready = next((c for c in pod.status.conditions or [] if c.type == "Ready"), None)
    said = " ".join(part for part in (ready.reason, ready.message) if part) if ready is not None else ""
    return said or f"phase {pod.status.phase or 'unknown'}"
