"""One line per answer, in CoreDNS's format: of several ``log``, the first whose names cover the question decides."""

from __future__ import annotations

import re
from collections.abc import Callable

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype

from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.log.config import PLACEHOLDER, Config
from seamark.dns.reply import reply_to
from seamark.dns.wire.render import MAX_TCP, MAX_UDP, raw_size


class Log:
    name = "log"

    def __init__(self, config: Config, site: Site) -> None:
        self._config = config
        self._host = site.host
        self._site = site
        self._before = [handler for name, handler in site.plugins if name == self.name]

    async def serve(self, query: Query, following: Next) -> Answer:
        answer = await following(query)
        if self.covers(query) and not any(log.covers(query) for log in self._before) and self._wanted(query, answer):
            self._tell(query, answer)
        return answer

    def covers(self, query: Query) -> bool:
        return any(query.name.is_subdomain(name) for name in self._config.names)

    def _tell(self, query: Query, answer: Answer) -> None:
        seconds = self._host.clock.monotonic() - query.received
        known = _fields(query, answer, seconds) | {f"/{label}": value for label, value in query.metadata.items()}
        known["origin"] = lambda: self._origin(query, answer)

        def text(found: re.Match[str]) -> str:
            field = known.get(found[1])
            return field() if field is not None else unknown() if found[1].startswith("/") else found[0]

        told = PLACEHOLDER.sub(text, self._config.format)
        if self._host.log_fields is not None:
            self._host.log_fields(f"[INFO] plugin/log: {told}", _parts(query, answer, seconds))
        else:
            self._host.log(f"[INFO] {told}")

    def _origin(self, query: Query, answer: Answer) -> str:
        """Who asked, as far as ``pods verified`` tells, and the objects that the answer was made of."""
        asking = (handler for _, handler in self._site.plugins if hasattr(handler, "pod_at"))
        pod = next((found for handler in asking if (found := handler.pod_at(query.client))), None)
        namespace, name = pod.key if pod is not None else ("-", "-")
        known = dict.fromkeys(answer.origins)
        objects = ",".join(f"{o.kind}/{o.namespace}/{o.name}@{o.resource_version}" for o in known) or "-"
        return f"namespace={namespace} pod={name} object={objects}"

    def _wanted(self, query: Query, answer: Answer) -> bool:
        classes = self._config.classes
        return "all" in classes or _class(written(query, answer)) in classes


def _class(reply: dns.message.Message) -> str:
    """denial = NXDOMAIN or NODATA, which has a SOA; success = what is NOERROR else; error = everything else."""
    if reply.rcode() == dns.rcode.NXDOMAIN and not reply.answer:
        return "denial"
    if reply.rcode() != dns.rcode.NOERROR:
        return "error"
    has_soa = any(rrset.rdtype == dns.rdatatype.SOA for rrset in reply.authority)
    return "denial" if has_soa and not reply.answer else "success"


def written(query: Query, answer: Answer) -> dns.message.Message:
    """The reply, also where the server has yet to write it."""
    return answer.message if answer.message is not None else reply_to(query.message, answer.rcode)


def fields_of(query: Query) -> dict[str, Callable[[], str]]:
    """What is known of a query. Each field as a function, so that only those in the format are worked out."""
    asked = query.message
    return {
        "type": lambda: dns.rdatatype.to_text(query.rdtype),
        "name": lambda: query.text,
        "class": lambda: dns.rdataclass.to_text(asked.question[0].rdclass),
        "proto": lambda: query.network,
        "remote": lambda: _bracketed(query.client),
        "local": lambda: _bracketed(query.server_ip),
        "port": lambda: str(query.client_port),
        "size": lambda: str(query.size),
        ">bufsize": lambda: str(_room(query)),
        ">do": lambda: "true" if _wants_dnssec(query) else "false",
        ">id": lambda: str(asked.id),
        ">opcode": lambda: str(int(asked.opcode())),
    }


def _fields(query: Query, answer: Answer, seconds: float) -> dict[str, Callable[[], str]]:
    found = fields_of(query) | {"duration": lambda: f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"}
    if answer.dropped:
        return found | {"rcode": unknown, "rsize": lambda: "0", ">rflags": unknown}
    return found | {
        "rcode": lambda: dns.rcode.to_text(answer.rcode),
        "rsize": lambda: str(raw_size(written(query, answer))),
        ">rflags": lambda: _flags(written(query, answer)),
    }


def _parts(query: Query, answer: Answer, seconds: float) -> dict[str, object]:
    """What the line says, for programs, by CoreDNS's names."""
    known = _fields(query, answer, seconds)
    numbers = {"client_port": "port", "id": ">id", "opcode": ">opcode", "request_size": "size", "bufsize": ">bufsize"}
    texts = {"qname": "name", "qtype": "type", "qclass": "class", "protocol": "proto", "rcode": "rcode"}
    return {
        "client_ip": query.client,
        **{key: known[field]() for key, field in texts.items()},
        **{key: int(known[field]()) for key, field in numbers.items()},
        "dnssec_ok": _wants_dnssec(query),
        "response_size": int(known["rsize"]()),
        "duration_seconds": seconds,
    }


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _room(query: Query) -> int:
    """How large an answer the client takes."""
    return MAX_TCP if query.network == "tcp" else max(query.message.payload, MAX_UDP)


def _wants_dnssec(query: Query) -> bool:
    return query.message.edns >= 0 and bool(query.message.ednsflags & dns.flags.DO)


def unknown() -> str:
    """A label that no plugin knows here, or the plugin metadata is not used."""
    return "-"


def _flags(reply: dns.message.Message) -> str:
    return ",".join(word.lower() for word in dns.flags.to_text(reply.flags).split())


def make(config: Config, site: Site) -> Log:
    return Log(config, site)
