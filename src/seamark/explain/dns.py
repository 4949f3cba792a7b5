"""Why a name is, or is not, what it is: the walk of a pod's C library through the DNS server of a cluster.

The Corefile is loaded as the server loads it, with its ``kubernetes`` watching the API server it is told here; each
question of the walk then goes through server block and plugins. Nothing is forwarded: where a question would leave the
cluster the walk ends, and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import dns.edns
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from seamark.client.client import Client
from seamark.client.committed import written_at
from seamark.compile.resolvconf import ResolvConf
from seamark.compile.searchlist import LIBRARIES, Library, Outcome, Step, compile_search, joined, select_walked
from seamark.dns.corefile.keys import match_zone
from seamark.dns.corefile.parser import Corefile
from seamark.dns.host import Host
from seamark.dns.listener import Listener
from seamark.dns.plugin import Query
from seamark.dns.plugins.kubernetes.handler import Kubernetes
from seamark.dns.server.instance import Instance, parse_server
from seamark.explain.mending import mend_endpoints, mend_name, mend_search, service_of
from seamark.explain.trace import Trace, Tracer, outcome_of, records_of
from seamark.machinery.gvr import ENDPOINTSLICES, NAMESPACES, PODS, SERVICES
from seamark.machinery.status import StatusError
from seamark.model import codec
from seamark.model.meta import UNKNOWN, Provenance
from seamark.model.pod import Pod

ADDRESSES = ("A", "AAAA")
KINDS = {gvr.kind: gvr for gvr in (ENDPOINTSLICES, NAMESPACES, PODS, SERVICES)}
MAX_OBJECTS = 20
FEW_DOTS = 2


@dataclass(slots=True)
class Question:
    """One question and what became of it. ``records`` are lines of the answer, each with the object behind it."""

    name: str
    rdtype: str
    outcome: Outcome = "servfail"
    rcode: str = ""
    block: str = ""
    plugins: list[tuple[str, str]] = field(default_factory=list)
    records: list[tuple[str, Provenance]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    upstreams: tuple[str, ...] = ()


@dataclass(slots=True)
class Walk:
    """How one library walks: the steps it takes, in order, with their questions, and what its caller gets."""

    library: Library
    steps: list[tuple[Step, list[Question]]]
    result: Outcome


@dataclass(slots=True)
class Explanation:
    """``written`` is when each object behind a record was last written, Unix seconds, 0.0 = not known."""

    name: str
    conf: ResolvConf
    walks: list[Walk]
    written: dict[Provenance, float]
    mend: list[str]
    now: float


@asynccontextmanager
async def serving(corefile: Corefile, host: Host) -> AsyncIterator[Explainer]:
    """The server of that Corefile, ready to be asked. Raises CorefileError, OSError."""
    tracer = Tracer()
    instance = Instance(parse_server(corefile), host, wrap=tracer.wrap)
    try:
        await instance.start()
        yield Explainer(instance, tracer, host)
    finally:
        await instance.stop()


class Explainer:
    def __init__(self, instance: Instance, tracer: Tracer, host: Host) -> None:
        self._instance = instance
        self._tracer = tracer
        self._host = host
        self._asked: dict[tuple[str, str], Question] = {}

    async def explain(self, name: str, rdtype: str, *, conf: ResolvConf, client: str, api: Client) -> Explanation:
        """``rdtype`` empty = both address types, as programs ask; ``client`` is the address that asks."""
        rdtypes = (rdtype,) if rdtype else ADDRESSES
        walks = [await self._walk(library, name, rdtypes, conf, client) for library in LIBRARIES]
        origins = {o for q in self._asked.values() for _, o in q.records if o != UNKNOWN}
        written = dict(await asyncio.gather(*(_written(api, origin) for origin in sorted(origins)[:MAX_OBJECTS])))
        mend = [text async for text in self._mend(name, walks, api)]
        return Explanation(name, conf, walks, written, list(dict.fromkeys(mend)), self._host.clock.time())

    async def _walk(self, library: Library, name: str, rdtypes: Iterable[str], conf: ResolvConf, client: str) -> Walk:
        steps = compile_search(name, conf, library)
        asked = [(step, [await self._ask(step.name, rdtype, client) for rdtype in rdtypes]) for step in steps]
        outcomes = ((step, joined((q.outcome for q in questions), library)) for step, questions in asked)
        walked, result = select_walked(outcomes, library)
        return Walk(library, asked[: len(walked)], result)

    async def _ask(self, name: str, rdtype: str, client: str) -> Question:
        known = self._asked.get((name, rdtype))
        if known is None:
            known = self._asked[name, rdtype] = await self._put(Question(name, rdtype), client)
        return known

    async def _put(self, question: Question, client: str) -> Question:
        """Through the server, as a query over UDP with EDNS."""
        message = dns.message.make_query(question.name, question.rdtype, use_edns=0)
        asked = message.question[0]
        query = Query(
            message, asked.name, asked.rdtype, client, "udp", dns.name.root, self._host.clock.monotonic(), client_port=1
        )
        at = self._listener(query)
        running = self._instance.find(at, query)
        trace = self._tracer.trace = Trace()
        answer = await self._instance.serve(at, query)
        question.block = str(running.key) if running is not None else ""
        question.rcode = dns.rcode.to_text(answer.rcode)
        question.outcome = outcome_of(answer, trace)
        question.plugins, question.upstreams = trace.plugins, trace.upstreams
        question.records = records_of(answer.message, trace)
        options = answer.message.options if answer.message is not None else ()
        question.reasons = [option.text or "" for option in options if isinstance(option, dns.edns.EDEOption)]
        if running is None:
            question.reasons.append("no server block is in charge of this name")
        elif answer.error:
            question.reasons.append(answer.error)
        return question

    def _listener(self, query: Query) -> Listener:
        """The first plain one whose blocks know the name, as pods ask at one address."""
        plain = [at for at in self._instance.listeners if at.transport == "dns"] or list(self._instance.listeners)
        knowing = (at for at in plain if self._instance.find(at, query) is not None)
        return next(knowing, plain[0])

    # what would mend it

    async def _mend(self, name: str, walks: Iterable[Walk], api: Client) -> AsyncIterator[str]:
        found = False
        for walk in walks:
            steps = [step for step, _ in walk.steps]
            for step in _steps_to_mend(name, steps, walk.result):
                async for text in self._mend_step(step, api):
                    found = True
                    yield text
            for text in () if found else mend_search(name, steps, walk.result):
                yield text

    async def _mend_step(self, step: Step, api: Client) -> AsyncIterator[str]:
        for name, handler in self._instance.plugins():
            if name != "kubernetes" or (zone := match_zone(handler.zones, step.name)) is None:
                continue
            labels = step.name.removesuffix(zone).rstrip(".").split(".")
            for text in mend_name(handler.table, labels):
                yield text
            async for text in _mend_empty(handler, labels, api):
                yield text


def _steps_to_mend(name: str, steps: list[Step], result: Outcome) -> list[Step]:
    """A name that was found is looked at where it was; one of few labels that leaves the cluster may be a slip."""
    if result == "found":
        return steps[-1:]
    return steps if result != "outside" or name.rstrip(".").count(".") < FEW_DOTS else []


async def _mend_empty(handler: Kubernetes, labels: list[str], api: Client) -> AsyncIterator[str]:
    """A Service that exists and has no ready endpoint."""
    key = service_of(labels)
    service = handler.table.service(key) if key is not None else None
    if key is None or service is None or service.spec.type == "ExternalName" or any(handler.table.endpoints_of(key)):
        return
    selector = ",".join(f"{name}={value}" for name, value in (service.spec.selector or {}).items())
    found = await api.list(PODS, namespace=key.namespace, query={"labelSelector": selector}) if selector else []
    for text in mend_endpoints(service, [codec.convert(pod, Pod) for pod in found]):
        yield text


async def _written(api: Client, origin: Provenance) -> tuple[Provenance, float]:
    """When the object was last written, as its metadata tells."""
    gvr = KINDS.get(origin.kind)
    if gvr is None:
        return origin, 0.0
    try:
        found: Mapping[str, object] = await api.get(gvr, origin.name, namespace=origin.namespace)
    except StatusError:
        return origin, 0.0
    return origin, written_at(found)
