"""``kubernetes [ZONES...] { … }``: the options of CoreDNS 1.15.

Refused with a reason: options CoreDNS removed. Nothing is read and then ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from seamark.compile.dnsrecords import Naming
from seamark.compile.dnstable import DnsOptions, PodMode
from seamark.dns.corefile.block import Block, Line, duration, integer
from seamark.dns.corefile.keys import is_reverse, parse_zones
from seamark.dns.corefile.lexer import Token
from seamark.machinery.selectors import SelectorError, parse_label_selector

TTL = 5
STARTUP_TIMEOUT = 5.0
POD_MODES = ("disabled", "insecure", "verified")
GONE = "CoreDNS removed it"
REFUSED = {
    "resyncperiod": GONE,
    "upstream": GONE,
    "transfer": GONE + " in favour of the plugin transfer",
}


@dataclass(frozen=True, slots=True)
class Access:
    """Which API server: a kubeconfig, else ``endpoint`` with ``tls`` (certificate, key, authority), else in-cluster."""

    kubeconfig: str = ""
    context: str = ""
    endpoint: str = ""
    tls: tuple[str, str, str] | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What this client asks of the API server at most: requests a second, how many at once in a burst, how many
    awaited at a time. 0 = no limit.
    """

    qps: float = 0.0
    burst: int = 0
    max_inflight: int = 0

    @property
    def any(self) -> bool:
        return bool(self.qps or self.max_inflight)


@dataclass(frozen=True, slots=True)
class Config:
    """``primary`` is the first zone that is not reverse: the zone of PTR targets. ``fallthrough`` None = off."""

    zones: tuple[str, ...]
    primary: str
    token: Token
    options: DnsOptions = DnsOptions()  # noqa: RUF009 - frozen
    access: Access = Access()
    labels: str = ""
    namespace_labels: str = ""
    endpoints: bool = True
    ttl: int = TTL
    fallthrough: tuple[str, ...] | None = None
    startup_timeout: float = STARTUP_TIMEOUT
    warnings: tuple[str, ...] = ()
    multicluster: tuple[str, ...] = ()
    limits: Limits = Limits()
    extended_errors: bool = True
    snapshot: str = ""
    """Where the last state is kept for a start without the API server; empty = nowhere."""


class _Reader:
    def __init__(self) -> None:
        self.namespaces: set[str] = set()
        self.pods: str = "disabled"
        self.pod_names = self.ignore_empty = False
        self.endpoints = True
        self.ttl = TTL
        self.fallthrough: tuple[str, ...] | None = None
        self.startup_timeout = STARTUP_TIMEOUT
        self.labels = self.namespace_labels = ""
        self.namespace_lines: list[Line] = []
        self.kubeconfig = self.context = self.endpoint = ""
        self.tls: tuple[str, str, str] | None = None
        self.warnings: list[str] = []
        self.zonal: Line | None = None
        self.multicluster: tuple[Token, ...] = ()
        self.limits: dict[str, float] = {}
        self.extended_errors = True
        self.snapshot = ""

    def properties(self) -> dict[str, Callable[[Line], None]]:
        return {
            "endpoint": self.read_endpoint,
            "tls": self.read_tls,
            "kubeconfig": self.read_kubeconfig,
            "namespaces": self.read_namespaces,
            "namespace_labels": self.read_namespace_labels,
            "labels": self.read_labels,
            "pods": self.read_pods,
            "endpoint_pod_names": self.read_pod_names,
            "noendpoints": self.read_noendpoints,
            "ttl": self.read_ttl,
            "fallthrough": self.read_fallthrough,
            "ignore": self.read_ignore,
            "startup_timeout": self.read_startup_timeout,
            "zonal": self.read_zonal,
            "extended_errors": self.read_extended_errors,
            "snapshot": self.read_snapshot,
            "multicluster": self.read_multicluster,
            "apiserver_qps": self.read_qps,
            "apiserver_burst": self.read_limit,
            "apiserver_max_inflight": self.read_limit,
        }

    def read_endpoint(self, line: Line) -> None:
        first, *more = line.some("the address of the API server")
        if not first.text.startswith(("http://", "https://")):
            raise first.error(f"'{first.text}' has to start with http:// or https://")
        self.endpoint = first.text
        if more:
            self.warnings.append(f"only the first endpoint is used: {first.text}")

    def read_tls(self, line: Line) -> None:
        certificate, key, authority = line.between(3, 3, "certificate, key and authority files")
        self.tls = (certificate.text, key.text, authority.text)

    def read_kubeconfig(self, line: Line) -> None:
        words = line.between(1, 2, "a file and a context")
        self.kubeconfig = words[0].text
        self.context = words[1].text if len(words) > 1 else ""

    def read_namespaces(self, line: Line) -> None:
        self.namespaces |= {word.text for word in line.some("namespaces")}
        self.namespace_lines.append(line)

    def read_namespace_labels(self, line: Line) -> None:
        self.namespace_labels = _selector(line)
        self.namespace_lines.append(line)

    def read_labels(self, line: Line) -> None:
        self.labels = _selector(line)

    def read_pods(self, line: Line) -> None:
        word = line.one("a mode")
        if word.text not in POD_MODES:
            raise word.error(f"'{word.text}' is not a mode of pods (known: {', '.join(POD_MODES)})")
        self.pods = word.text

    def read_pod_names(self, line: Line) -> None:
        line.none()
        self.pod_names = True

    def read_noendpoints(self, line: Line) -> None:
        line.none()
        self.endpoints = False

    def read_ttl(self, line: Line) -> None:
        self.ttl = integer(line.one("seconds"), least=0, most=3600)

    def read_fallthrough(self, line: Line) -> None:
        self.fallthrough = parse_zones(line.args, (".",))

    def read_ignore(self, line: Line) -> None:
        word = line.one("empty_service")
        if word.text != "empty_service":
            raise word.error(f"'{word.text}' cannot be ignored (known: empty_service)")
        self.ignore_empty = True

    def read_startup_timeout(self, line: Line) -> None:
        self.startup_timeout = duration(line.one("a duration"))

    def read_extended_errors(self, line: Line) -> None:
        word = line.one("on or off")
        if word.text not in ("on", "off"):
            raise word.error(f"'{word.text}' is neither on nor off")
        self.extended_errors = word.text == "on"

    def read_snapshot(self, line: Line) -> None:
        self.snapshot = line.one("a file").text

    def read_zonal(self, line: Line) -> None:
        line.none()
        self.zonal = line

    def read_multicluster(self, line: Line) -> None:
        self.multicluster = line.some("zones")

    def read_qps(self, line: Line) -> None:
        word = line.one("requests a second")
        try:
            self.limits["qps"] = float(word.text)
        except ValueError:
            raise word.error(f"'{word.text}' is not a number of requests a second") from None
        if not 0 <= self.limits["qps"] < float("inf"):
            raise word.error(f"'{word.text}' has to be a number of at least 0")

    def read_limit(self, line: Line) -> None:
        self.limits[line.name.text.removeprefix("apiserver_")] = integer(line.one("a number"), least=0)


def _imports(words: tuple[Token, ...], zones: tuple[str, ...]) -> tuple[str, ...]:
    found = parse_zones(words, ())
    for zone in found:
        if zone not in zones:
            raise words[0].error(f"multicluster zone {zone} is not among the zones of kubernetes: {', '.join(zones)}")
    return found


def parse(block: Block) -> Config:
    zones = parse_zones(block.args, block.zones)
    primary = next((zone for zone in zones if not is_reverse(zone)), None)
    if primary is None:
        raise block.name.error("kubernetes needs at least one zone that is not a reverse zone")
    reader = _Reader()
    block.read(reader.properties(), REFUSED)
    if reader.namespaces and reader.namespace_labels:
        last = reader.namespace_lines[-1].name
        raise last.error("'namespaces' and 'namespace_labels' exclude one another")
    if reader.zonal is not None and not reader.endpoints:
        raise reader.zonal.name.error("'zonal' answers with endpoints: it excludes 'noendpoints'")
    naming = Naming(reader.pod_names, reader.ignore_empty, zonal=reader.zonal is not None)
    return Config(
        zones=zones,
        primary=primary,
        token=block.name,
        options=DnsOptions(frozenset(reader.namespaces), cast(PodMode, reader.pods), naming),
        access=Access(reader.kubeconfig, reader.context, reader.endpoint, reader.tls),
        labels=reader.labels,
        namespace_labels=reader.namespace_labels,
        endpoints=reader.endpoints,
        ttl=reader.ttl,
        fallthrough=reader.fallthrough,
        startup_timeout=reader.startup_timeout,
        warnings=tuple(reader.warnings),
        extended_errors=reader.extended_errors,
        snapshot=reader.snapshot,
        multicluster=_imports(reader.multicluster, zones),
        limits=Limits(**reader.limits),  # type: ignore[arg-type]  # burst and max_inflight are read as integers
    )


def _selector(line: Line) -> str:
    text = " ".join(word.text for word in line.some("a label selector"))
    try:
        parse_label_selector(text)
    except SelectorError as error:
        raise line.args[0].error(f"'{text}' is not a label selector: {error.message}") from error
    return text
