"""One line per answer, in CoreDNS's format."""

from __future__ import annotations

from collections.abc import Callable

import dns.flags
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype

from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.log.config import PLACEHOLDER, Config
from seamark.dns.wire.render import MAX_TCP, render


class Log:
    name = "log"

    def __init__(self, config: Config, site: Site) -> None:
        self._config = config
        self._host = site.host
        self._site = site

    async def serve(self, query: Query, following: Next) -> Answer:
        answer = await following(query)
        if any(query.name.is_subdomain(name) for name in self._config.names) and self._wanted(answer):
            fields = _fields(query, answer, self._host.clock.monotonic() - query.received)
            known = {f"/{label}": value for label, value in query.metadata.items()}
            known["origin"] = lambda: self._origin(query, answer)
            told = PLACEHOLDER.sub(lambda found: {**fields, **known}.get(found[1], unknown)(), self._config.format)
            self._host.log(f"[INFO] {told}")
        return answer

    def _origin(self, query: Query, answer: Answer) -> str:
        """Who asked, as far as ``pods verified`` tells, and the objects that the answer was made of."""
        asking = (handler for _, handler in self._site.plugins if hasattr(handler, "pod_at"))
        pod = next((found for handler in asking if (found := handler.pod_at(query.client))), None)
        namespace, name = pod.key if pod is not None else ("-", "-")
        known = dict.fromkeys(answer.origins)
        objects = ",".join(f"{o.kind}/{o.namespace}/{o.name}@{o.resource_version}" for o in known) or "-"
        return f"namespace={namespace} pod={name} object={objects}"

    def _wanted(self, answer: Answer) -> bool:
        classes = self._config.classes
        return "all" in classes or _class(answer) in classes


def _class(answer: Answer) -> str:
    """success = there is data; denial = NXDOMAIN or NODATA; error = everything else."""
    if answer.rcode == dns.rcode.NXDOMAIN:
        return "denial"
    if answer.rcode != dns.rcode.NOERROR:
        return "error"
    return "success" if answer.message is not None and answer.message.answer else "denial"


def fields_of(query: Query) -> dict[str, Callable[[], str]]:
    """What is known of a query. Each field as a function, so that only those in the format are worked out."""
    asked = query.message
    edns = asked.edns >= 0
    return {
        "type": lambda: dns.rdatatype.to_text(query.rdtype),
        "name": lambda: query.name.to_text(),
        "class": lambda: dns.rdataclass.to_text(asked.question[0].rdclass),
        "proto": lambda: query.protocol,
        "remote": lambda: f"[{query.client}]" if ":" in query.client else query.client,
        "local": lambda: query.server,
        "port": lambda: str(query.client_port),
        "size": lambda: str(query.size),
        ">bufsize": lambda: str(asked.payload if edns else 512),
        ">do": lambda: "true" if edns and asked.ednsflags & dns.flags.DO else "false",
        ">id": lambda: str(asked.id),
        ">opcode": lambda: str(int(asked.opcode())),
    }


def _fields(query: Query, answer: Answer, seconds: float) -> dict[str, Callable[[], str]]:
    return fields_of(query) | {
        "duration": lambda: f"{seconds:.9f}s",
        "rcode": lambda: dns.rcode.to_text(answer.rcode),
        "rsize": lambda: str(len(render(answer.message, MAX_TCP, None)) if answer.message else 0),
        ">rflags": lambda: _flags(answer),
    }


def unknown() -> str:
    """A label that no plugin knows here, or the plugin metadata is not used."""
    return "-"


def _flags(answer: Answer) -> str:
    if answer.message is None:
        return "-"
    return ",".join(word.lower() for word in dns.flags.to_text(answer.message.flags).split()) or "-"


def make(config: Config, site: Site) -> Log:
    return Log(config, site)
