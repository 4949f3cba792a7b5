"""Seamark's DNS and CoreDNS side by side: the same registry, the same Corefile, the same questions.

    make conformance-dns            or    .venv/bin/python tools/conformance_dns.py --questions 30000 --seed 1

Builds CoreDNS from its published module into a cache outside of the repository (Go has to be installed; the first build
takes some minutes), brings up a registry of its own with some thousand generated objects, starts both servers on
loopback for each Corefile in ``CASES`` and compares rcode, flags, question, EDNS and every section of every answer.

Not compared: SOA serials (each server's own clock) and, where an answer is cut off, which of its records were left out.
A difference is intended only if ``INTENDED`` names it, and then docs/differences-from-coredns.md has to explain it. The
status is 1 if any other is left.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from seamark.client.client import Client
from seamark.client.kubeconfig import load_kubeconfig
from seamark.machinery.gvr import ENDPOINTSLICES, NAMESPACES, PODS, SERVICES
from seamark.machinery.status import StatusError
from seamark.testing.dnscase import render_records

ROOT = Path(__file__).resolve().parent.parent
VERSION = "v1.15.0"
MODULE = "github.com/coredns/coredns"
DOCUMENT = ROOT / "docs" / "differences-from-coredns.md"
ZONE = "cluster.local."
TYPES = ("A", "AAAA", "SRV", "TXT", "CNAME", "PTR", "MX", "NS", "SOA", "ANY", "HTTPS", "CAA", "NAPTR", "DS")
EDNS: tuple[dict[str, Any], ...] = ({}, {"payload": 1232, "want_dnssec": True}, {"payload": 4096}, {"payload": 512})
NAMES = ("web", "db", "api", "mail", "cache", "auth", "search", "log")
PORTS = (("http", "TCP", 80), ("https", "TCP", 443), ("dns", "UDP", 53), ("dns-tcp", "TCP", 53), ("assoc", "SCTP", 132))

OTHERS = """
rw.test:PORT {
    rewrite name suffix .rw.test. .default.svc.cluster.local. answer auto
    rewrite ttl suffix rw.test. 60-90
    kubernetes cluster.local {
        ACCESS
    }
}
tpl.test:PORT {
    template IN A tpl.test {
        match ^ip-([0-9]+)-([0-9]+)[.]tpl[.]test[.]$
        answer "{{ .Name }} 60 IN A 10.1.{{ index .Match 1 }}.{{ index .Match 2 }}"
        fallthrough
    }
    template ANY ANY tpl.test {
        rcode NXDOMAIN
        authority "tpl.test. 60 IN SOA ns.tpl.test. root.tpl.test. 1 2 3 4 60"
        ederror 21 "not here"
    }
}
file.test:PORT {
    file DIRECTORY/db.file.test
}
ext.test:PORT {
    k8s_external ext.test {
        headless
    }
    kubernetes cluster.local {
        ACCESS
    }
}
acl.test:PORT {
    acl {
        block type TXT
        filter type MX
    }
    whoami
}
any.test:PORT {
    any
    local
    whoami
}
localhost:PORT {
    local
}
"""
HEAD = """
.:PORT {
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        ACCESS
        OPTIONS
    }
    hosts DIRECTORY/hosts {
        fallthrough
    }
}
sub.test:PORT {
    hosts DIRECTORY/hosts
    minimal
    bufsize 700
}
"""
CASES = {
    "insecure": "pods insecure\nttl 30\nfallthrough in-addr.arpa ip6.arpa\nendpoint_pod_names",
    "verified": "pods verified\nzonal\nignore empty_service\nfallthrough",
    "namespaces": "pods disabled\nnamespaces default ns1\nttl 0",
    "labels": "labels shown=yes\nnoendpoints",
}
ZONE_FILE = """$TTL 300
@ IN SOA ns.file.test. root.file.test. 7 3600 600 86400 60
@ IN NS ns
ns IN A 192.0.2.1
Web IN A 192.0.2.2
alias IN CNAME web
lost IN CNAME nosuch
mail IN MX 10 web
deep.in.here IN TXT "x"
*.wild IN A 192.0.2.3
host.wild IN TXT "y"
sub IN NS ns.sub
ns.sub IN A 192.0.2.4
old IN DNAME new.file.test.
x.new IN A 192.0.2.5
_s._tcp IN SRV 0 1 80 web
"""
FILE_NAMES = (
    "@",
    "ns",
    "web",
    "WEB",
    "alias",
    "lost",
    "mail",
    "in.here",
    "deep.in.here",
    "nosuch",
    "a.wild",
    "a.b.wild",
    "host.wild",
    "a.host.wild",
    "wild",
    "sub",
    "x.sub",
    "ns.sub",
    "old",
    "x.old",
    "y.old",
    "new",
    "x.new",
    "_s._tcp",
)


@dataclass(slots=True)
class Difference:
    case: str
    question: str
    ours: dict[str, Any]
    theirs: dict[str, Any]

    @property
    def fields(self) -> set[str]:
        return {key for key in self.ours if self.ours[key] != self.theirs[key]}


def _is_mixed(text: str) -> bool:
    return text != text.lower()


def _differ_in_case_only(found: Difference) -> bool:
    low = ({k: str(v).lower() for k, v in side.items()} for side in (found.ours, found.theirs))
    return next(low) == next(low)


INTENDED: dict[str, Callable[[Difference], bool]] = {
    "apex-names-in-mixed-case": lambda d: (
        _is_mixed(d.question.split()[0]) and (d.question.split()[1] == "NS" or d.question.lower().startswith("ns.dns."))
    ),
    "link-local-name-servers": lambda d: "fe80::" in str(d.theirs) and "fe80::" not in str(d.ours),
    "rewrite-spelling": lambda d: ".rw.test." in d.question.lower() and _differ_in_case_only(d),
    "hosts-spelling": lambda d: (
        d.question.split()[0].lower().endswith((".example.", ".sub.test.")) and _differ_in_case_only(d)
    ),
}
"""Headings of docs/differences-from-coredns.md, and which differences they explain."""


# the peer


def build_coredns() -> Path:
    """The binary, from the module proxy, once per version."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "seamark" / f"coredns-{VERSION}"
    binary = cache / "coredns"
    if not binary.exists():
        if shutil.which("go") is None:
            sys.exit("conformance-dns: go is needed to build CoreDNS; install Go or give --coredns FILE")
        cache.mkdir(parents=True, exist_ok=True)
        print(f"building {MODULE}@{VERSION} into {cache}", flush=True)
        environment = {**os.environ, "GOBIN": str(cache), "CGO_ENABLED": "0"}
        subprocess.run(["nice", "-n", "15", "go", "install", f"{MODULE}@{VERSION}"], check=True, env=environment)
    return binary


@contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[None]:
    """One server, until the block ends."""
    with log.open("w") as out:
        process = subprocess.Popen(["nice", *command], stdout=out, stderr=subprocess.STDOUT)
    try:
        _await_answers(process, port, log)
        yield
    finally:
        process.terminate()
        process.wait(15)


def _await_answers(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    query = dns.message.make_query(f"dns-version.{ZONE}", "TXT").to_wire()
    with socket.socket(type=socket.SOCK_DGRAM) as asking:
        asking.settimeout(0.3)
        for _ in range(100):
            if process.poll() is not None:
                sys.exit(f"conformance-dns: {process.args!r} ended:\n{log.read_text()[-2000:]}")
            asking.sendto(query, ("127.0.0.1", port))
            try:
                asking.recv(4096)
                return
            except OSError:
                time.sleep(0.1)
    sys.exit(f"conformance-dns: nothing answers on port {port}:\n{log.read_text()[-2000:]}")


def free_port() -> int:
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        udp.bind(("127.0.0.1", tcp.getsockname()[1]))
        return int(tcp.getsockname()[1])


# the objects


@dataclass(slots=True)
class World:
    """What was put into the registry, for the questions."""

    random: random.Random
    services: list[tuple[str, str]] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    hosts: list[tuple[str, str, str]] = field(default_factory=list)
    namespaces: tuple[str, ...] = ("default", *(f"ns{n}" for n in range(1, 8)))
    failed: int = 0

    async def fill(self, client: Client, count: int) -> None:
        for namespace in self.namespaces[1:]:
            await self._create(client, NAMESPACES, {"metadata": {"name": namespace}})
        for number in range(count):
            await self._service(client, f"{self.random.choice(NAMES)}-{number}", self.random.choice(self.namespaces))
        for number in range(count // 10):
            await self._pod(client, f"pod-{number}", self.random.choice(self.namespaces))

    async def _create(self, client: Client, gvr: Any, obj: dict[str, Any]) -> dict[str, Any]:
        try:
            return await client.create(gvr, obj)
        except StatusError:
            self.failed += 1
            return {}

    async def _service(self, client: Client, name: str, namespace: str) -> None:
        chance = self.random.random()
        labels = {"shown": self.random.choice(("yes", "yes", "no"))}
        spec: dict[str, Any] = {"ports": self._ports()}
        if chance < 0.12:
            spec = {"type": "ExternalName", "externalName": self._target(name, namespace)}
        elif chance < 0.5:
            spec["clusterIP"] = "None"
            if self.random.random() < 0.2:
                spec["ports"] = []
        elif self.random.random() < 0.2:
            spec["externalIPs"] = [f"192.0.2.{self.random.randrange(1, 250)}"]
        meta = {"name": name, "namespace": namespace, "labels": labels}
        made = await self._create(client, SERVICES, {"metadata": meta, "spec": spec})
        self.services.append((name, namespace))
        self.addresses += [ip for ip in made.get("spec", {}).get("clusterIPs") or [] if ip != "None"]
        for index in range(self.random.choice((0, 1, 1, 1, 2))):
            await self._slice(client, name, namespace, index, labels)

    def _ports(self) -> list[dict[str, Any]]:
        if self.random.random() < 0.2:
            return [{"port": self.random.randrange(1, 60000), "protocol": "TCP"}]
        chosen = self.random.sample(PORTS, self.random.randrange(1, 5))
        return [{"name": name, "protocol": protocol, "port": port} for name, protocol, port in chosen]

    def _target(self, name: str, namespace: str) -> str:
        other = self.random.choice(self.services or [(name, namespace)])
        return self.random.choice(
            (
                "outside.example",
                "nosuch.example",
                "Mixed.Example.",
                f"{other[0]}.{other[1]}.svc.cluster.local",
                f"{name}.{namespace}.svc.cluster.local",
                f"missing.{namespace}.svc.cluster.local",
            )
        )

    async def _slice(self, client: Client, name: str, namespace: str, index: int, labels: dict[str, str]) -> None:
        six = self.random.random() < 0.2
        endpoints = []
        for _ in range(self.random.choice((0, 1, 2, 3, 5, 40))):
            low = self.random.randrange(1, 2000)
            address = f"fd00:1::{low:x}" if six else f"10.244.{low // 250}.{low % 250 + 1}"
            endpoint: dict[str, Any] = {"addresses": [address], "conditions": {}}
            if self.random.random() < 0.8:
                endpoint["conditions"]["ready"] = self.random.random() < 0.85
            if self.random.random() < 0.2:
                endpoint["hostname"] = f"host-{self.random.randrange(3)}"
            if self.random.random() < 0.5:
                endpoint["zone"] = self.random.choice(("a", "b.c"))
            if self.random.random() < 0.3:
                endpoint["targetRef"] = {"kind": "Pod", "namespace": namespace, "name": f"pod-{low}"}
            endpoints.append(endpoint)
            self.addresses.append(address)
            host = address.replace(".", "-").replace(":", "-")
            self.hosts.append((self.random.choice((host, f"pod-{low}", "host-0")), name, namespace))
        ports = [] if self.random.random() < 0.1 else self._ports()
        meta = {"name": f"{name}-{index}", "namespace": namespace}
        labels = {**labels, "kubernetes.io/service-name": name}
        kind = "IPv6" if six else "IPv4"
        body = {"metadata": {**meta, "labels": labels}, "addressType": kind, "endpoints": endpoints, "ports": ports}
        await self._create(client, ENDPOINTSLICES, body)

    async def _pod(self, client: Client, name: str, namespace: str) -> None:
        spec = {"containers": [{"name": "c", "image": "x"}], "schedulerName": "nobody"}
        meta = {"name": name, "namespace": namespace, "labels": {"shown": "yes"}}
        made = await self._create(client, PODS, {"metadata": meta, "spec": spec})
        address = f"10.245.{self.random.randrange(4)}.{self.random.randrange(1, 250)}"
        made["status"] = {"phase": self.random.choice(("Running", "Running", "Failed")), "podIP": address}
        made["status"]["podIPs"] = [{"ip": address}]
        try:
            await client.update_status(PODS, made)
        except StatusError:
            self.failed += 1
        self.hosts.append((address.replace(".", "-"), "", namespace))

    # the questions

    def question(self) -> tuple[str, str, dict[str, Any]]:
        name = self._name()
        if self.random.random() < 0.25:
            name = "".join(c.upper() if self.random.random() < 0.5 else c for c in name)
        return name, self.random.choice(TYPES[:3] if self.random.random() < 0.5 else TYPES), self.random.choice(EDNS)

    def _name(self) -> str:
        pick, chance = self.random.choice, self.random.random()
        name, namespace = pick(self.services)
        below = f"{name}.{namespace}.svc.{ZONE}"
        if chance < 0.25:
            return below
        if chance < 0.4:
            port, protocol, _ = pick(PORTS)
            return (
                pick((f"_{port}._{protocol}.", f"{port}.{protocol}.", f"_._{protocol}.", "_._.", "x._y.")).lower()
                + below
            )
        if chance < 0.55:
            host, service, space = pick(self.hosts)
            return f"{host}.{service}.{space}.svc.{ZONE}" if service else f"{host}.{space}.pod.{ZONE}"
        if chance < 0.7:
            return ip_address(pick(self.addresses)).reverse_pointer + "."
        if chance < 0.78:
            pod = pick(("10-0-0-1", "fd00--1", "--ffff-102-304", "10-0-0-256", "1-2-3", "x.10-0-0-1", "10-0-0-01"))
            return f"{pod}.{namespace}.pod.{ZONE}"
        if chance < 0.86:
            return pick(
                (
                    ZONE, f"svc.{ZONE}", f"pod.{ZONE}", f"{namespace}.svc.{ZONE}", f"{namespace}.pod.{ZONE}",
                    f"nosuch.svc.{ZONE}", f"a.nosuch.svc.{ZONE}", f"nosuch.{namespace}.svc.{ZONE}", f"foo.{ZONE}",
                    f"dns-version.{ZONE}", f"ns.dns.{ZONE}", f"dns.{ZONE}", f"hostmaster.{ZONE}", f"a.b.c.{below}",
                    f"a.pin._zone.{below}", f"b.c.prefer._zone.{below}", f"z.pin._zone.{below}",
                    f"z.prefer._zone.{below}",
                    f"*.{namespace}.svc.{ZONE}", "in-addr.arpa.", "244.10.in-addr.arpa.", "dns-version.in-addr.arpa.",
                    "1.2.3.4.5.in-addr.arpa.", "9.9.9.9.in-addr.arpa.",
                )
            )  # fmt: skip
        return pick(
            (
                "outside.example.", "nosuch.example.", "mixed.example.", "many.sub.test.", "a.sub.test.", "b.sub.test.",
                f"{name}.rw.test.", "x.rw.test.", "ip-1-2.tpl.test.", "x.tpl.test.", f"{name}.{namespace}.ext.test.",
                f"_http._tcp.{name}.{namespace}.ext.test.", "ext.test.", "dns.ext.test.", f"{namespace}.ext.test.",
                "a.acl.test.", "a.any.test.", "localhost.", "localhost.any.test.", "x.localhost.",
                *(("" if label == "@" else f"{label}.") + "file.test." for label in FILE_NAMES),
            )
        )  # fmt: skip


# asking and comparing


def compare(
    case: str, ports: tuple[int, int], questions: list[tuple[str, str, dict[str, Any]]]
) -> Iterator[Difference]:
    asking = [socket.socket(type=socket.SOCK_DGRAM) for _ in ports]
    for one, port in zip(asking, ports, strict=True):
        one.connect(("127.0.0.1", port))
        one.settimeout(3)
    for number, (name, rdtype, options) in enumerate(questions):
        query = dns.message.make_query(name, rdtype, id=number & 0xFFFF, **options)
        wire = query.to_wire()
        for one in asking:
            one.send(wire)
        ours, theirs = (_receive(one, query.id) for one in asking)
        if ours != theirs and not _both_cut_alike(ours, theirs):
            yield Difference(case, f"{name} {rdtype} {options or ''}".strip(), ours, theirs)
    for one in asking:
        one.close()


def _receive(one: socket.socket, identity: int) -> dict[str, Any]:
    try:
        while int.from_bytes((wire := one.recv(65535))[:2], "big") != identity:
            continue
        found = dns.message.from_wire(wire)
    except (OSError, dns.exception.DNSException) as error:
        return {"rcode": f"no answer: {type(error).__name__}"}
    options = sorted((int(option.otype), option.to_wire()) for option in found.options)
    return {
        "rcode": dns.rcode.to_text(found.rcode()),
        "flags": dns.flags.to_text(found.flags),
        "question": [(str(q.name), int(q.rdtype)) for q in found.question],
        "answer": sorted(render_records(found.answer)),
        "authority": sorted(render_records(found.authority)),
        "additional": sorted(r for r in render_records(found.additional) if " IN SRV 0 0 " not in r),
        "edns": (found.edns, found.payload, found.ednsflags, options) if found.edns >= 0 else None,
    }


def _both_cut_alike(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Same size and TC, other records: which ones come first is each server's own."""
    if "TC" not in ours.get("flags", "") or ours.get("flags") != theirs.get("flags"):
        return False
    sections = ("answer", "authority", "additional")
    return all(abs(len(ours[s]) - len(theirs[s])) <= 1 for s in sections) and ours["edns"] == theirs["edns"]


def explain(found: Difference) -> str | None:
    return next((name for name, applies in INTENDED.items() if applies(found)), None)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--questions", type=int, default=24000, help="in all, over every Corefile")
    parser.add_argument("--services", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--coredns", type=Path, help="a binary that is there already")
    parser.add_argument("--show", type=int, default=10, help="differences to print")
    options = parser.parse_args()
    binary = options.coredns or build_coredns()
    missing = [name for name in INTENDED if f"`{name}`" not in DOCUMENT.read_text()]
    if missing:
        sys.exit(f"conformance-dns: {DOCUMENT.name} does not explain {', '.join(missing)}")
    with tempfile.TemporaryDirectory(prefix="seamark-conformance-") as text:
        return run(options, binary, Path(text))


def run(options: argparse.Namespace, binary: Path, directory: Path) -> int:
    seamark = str(ROOT / ".venv" / "bin" / "seamark")
    data = directory / "cluster"
    up = [seamark, "up", "--nodes", "0", "--detach", "--data-dir", str(data), "--port", str(free_port())]
    subprocess.run(up, check=True, stdout=subprocess.DEVNULL)
    try:
        world = World(random.Random(options.seed))
        started = time.monotonic()
        asyncio.run(_fill(world, data / "admin.kubeconfig", options.services))
        print(
            f"{len(world.services)} Services, {len(world.hosts)} endpoints and pods"
            f" in {time.monotonic() - started:.0f} s ({world.failed} refused by the registry)",
            flush=True,
        )
        return report(options, list(_cases(options, world, binary, directory)))
    finally:
        down = [seamark, "down", "--purge", "--data-dir", str(data)]
        subprocess.run(down, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


async def _fill(world: World, kubeconfig: Path, count: int) -> None:
    client = Client(load_kubeconfig(str(kubeconfig), None).transport(), agent="conformance-dns")
    try:
        await world.fill(client, count)
    finally:
        await client.close()


def _cases(options: argparse.Namespace, world: World, binary: Path, directory: Path) -> Iterator[Difference]:
    kubeconfig = directory / "cluster" / "admin.kubeconfig"
    (directory / "db.file.test").write_text(ZONE_FILE)
    many = "".join(f"10.9.0.{n} many.sub.test\n" for n in range(1, 120))
    (directory / "hosts").write_text(
        f"192.0.2.44 outside.example\n192.0.2.45 mixed.example\n10.9.1.1 a.sub.test\n{many}"
    )
    for case, wanted in CASES.items():
        ports = free_port(), free_port()
        questions = [world.question() for _ in range(options.questions // len(CASES))]
        questions += world.random.sample(questions, len(questions) // 4)  # what was answered once may be kept
        for port in ports:
            text = (HEAD + OTHERS).replace("OPTIONS", wanted).replace("ACCESS", f"kubeconfig {kubeconfig}")
            if port == ports[0]:  # not compared: CoreDNS does not say why
                text = text.replace(f"kubeconfig {kubeconfig}", f"kubeconfig {kubeconfig}\nextended_errors off")
            text = text.replace("DIRECTORY", str(directory)).replace("PORT", str(port))
            (directory / f"Corefile.{port}").write_text(text)
        ours = [str(ROOT / ".venv/bin/seamark"), "dns", "-conf", str(directory / f"Corefile.{ports[0]}")]
        theirs = [str(binary), "-conf", str(directory / f"Corefile.{ports[1]}")]
        with (
            running(ours, ports[0], directory / "ours.log"),
            running(theirs, ports[1], directory / "theirs.log"),
        ):
            time.sleep(2)  # both have their lists by then
            started = time.monotonic()
            found = list(compare(case, ports, questions))
            print(
                f"{case}: {len(questions)} questions, {len(found)} differences, {time.monotonic() - started:.0f} s",
                flush=True,
            )
            yield from found


def report(options: argparse.Namespace, differences: list[Difference]) -> int:
    counted = Counter(explain(found) for found in differences)
    left = [found for found in differences if explain(found) is None]
    for found in left[: options.show]:
        print(f"\n{found.case}: {found.question}")
        for key in sorted(found.fields, key=str) if found.ours.keys() == found.theirs.keys() else ["rcode"]:
            print(f"  {key}: seamark {found.ours.get(key)}\n  {key}: coredns {found.theirs.get(key)}")
    for name, number in sorted((str(name), number) for name, number in counted.items() if name):
        print(f"intended, {name}: {number}")
    print(f"unexplained: {len(left)}")
    return 1 if left else 0


if __name__ == "__main__":
    os.environ.setdefault("NO_COLOR", "1")
    sys.exit(main())
