"""What dnssec and signed zone files say, judged by validators of others: unbound, and delv where it is installed.

A record that validates comes back with AD; what does not would be SERVFAIL.
"""

from __future__ import annotations

import asyncio
import base64
import time
from pathlib import Path
from typing import Any

import dns.dnssec
import dns.dnssectypes
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.zone
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from seamark.testing.ports import free_port

A = dns.name.from_text("a.test.")
ZONE = """$TTL 300
@ IN SOA ns root 7 3600 600 86400 60
@ IN NS ns
ns IN A 192.0.2.1
web IN A 192.0.2.2
web IN A 192.0.2.3
alias IN CNAME web
dangling IN CNAME nobody
*.wild IN A 192.0.2.9
x.y.between IN TXT "deep"
_http._tcp IN SRV 0 0 80 web
mx IN MX 10 web
d IN DNAME other
web.other IN A 192.0.2.5
insecure IN NS ns.insecure
ns.insecure IN A 127.0.0.1
"""
POSITIVE = [
    ("a.test.", "SOA"),
    ("a.test.", "NS"),
    ("a.test.", "DNSKEY"),
    ("web.a.test.", "A"),
    ("WEB.a.test.", "A"),
    ("alias.a.test.", "A"),
    ("one.wild.a.test.", "A"),
    ("two.three.wild.a.test.", "A"),
    ("x.y.between.a.test.", "TXT"),
    ("_http._tcp.a.test.", "SRV"),
    ("mx.a.test.", "MX"),
    ("web.d.a.test.", "A"),
]
NEGATIVE = [
    ("web.a.test.", "AAAA"),
    ("a.test.", "TXT"),
    ("alias.a.test.", "AAAA"),
    ("one.wild.a.test.", "TXT"),
    ("between.a.test.", "A"),
    ("y.between.a.test.", "TXT"),
    ("insecure.a.test.", "DS"),
]
MISSING = [("nobody.a.test.", "A"), ("below.web.a.test.", "A"), ("0.a.test.", "TXT"), ("dangling.a.test.", "A")]
CLUSTER = [
    ("web.default.svc.cluster.local.", "A", True),
    ("_http._tcp.web.default.svc.cluster.local.", "SRV", True),
    ("a.heads.default.svc.cluster.local.", "A", True),
    ("outside.default.svc.cluster.local.", "CNAME", True),
    ("cluster.local.", "SOA", True),
    ("cluster.local.", "DNSKEY", True),
    ("web.default.svc.cluster.local.", "AAAA", False),
    ("default.svc.cluster.local.", "A", False),
    ("svc.cluster.local.", "TXT", False),
    ("nobody.default.svc.cluster.local.", "A", False),
    ("a.b.c.cluster.local.", "SRV", False),
]


def new_key(folder: Path, zone: str) -> tuple[Any, Any]:
    """Private key and DNSKEY rdata, written as dnssec-keygen does."""
    private = ec.generate_private_key(ec.SECP256R1())
    record = dns.dnssec.make_dnskey(private.public_key(), dns.dnssectypes.Algorithm.ECDSAP256SHA256, 257)
    number = private.private_numbers().private_value.to_bytes(32, "big")
    (folder / "Kone.key").write_text(f"{zone} 3600 IN DNSKEY {record}\n")
    text = (
        f"Private-key-format: v1.3\nAlgorithm: 13 (ECDSAP256SHA256)\nPrivateKey: {base64.b64encode(number).decode()}\n"
    )
    (folder / "Kone.private").write_text(text)
    (folder / "anchor").write_text(f"{zone} 3600 IN DNSKEY {record}\n")
    return private, record


def sign_file(folder: Path) -> None:
    """``db`` signed with the key, by dnspython's signer, NSEC records and all."""
    private, record = new_key(folder, "a.test.")
    zone = dns.zone.from_text(ZONE, A, relativize=False)
    now = int(time.time())
    dns.dnssec.sign_zone(zone, keys=[(private, record)], inception=now - 3600, expiration=now + 86400)
    (folder / "db").write_text(zone.to_text(relativize=False))


@pytest.fixture
def unbound(beside: Any, tmp_path: Path) -> Any:
    """``await unbound(zone, port)`` -> the port of one that validates what that server says."""

    async def start(zone: str, port: int) -> int:
        own, file = free_port(), tmp_path / "unbound.conf"
        file.write_text(f"""
server:
  interface: 127.0.0.1
  port: {own}
  directory: "{tmp_path}"
  pidfile: ""
  username: ""
  chroot: ""
  use-syslog: no
  logfile: ""
  num-threads: 1
  val-log-level: 2
  do-ip6: no
  do-not-query-localhost: no
  module-config: "validator iterator"
  trust-anchor-file: "{tmp_path}/anchor"
  local-zone: "test." nodefault
  local-zone: "local." nodefault
  val-clean-additional: yes
  qname-minimisation: no
remote-control:
  control-enable: no
stub-zone:
  name: "{zone}"
  stub-addr: 127.0.0.1@{port}
""")
        await beside("unbound", "-d", "-c", file, port=own)
        return own

    return start


def is_validated(reply: dns.message.Message) -> bool:
    return bool(reply.flags & dns.flags.AD)


async def test_a_zone_signed_as_it_is_asked(seamark: Any, unbound: Any, ask: Any, tmp_path: Path) -> None:
    new_key(tmp_path, "a.test.")
    (tmp_path / "db").write_text(ZONE)
    port = free_port()
    options = "key file Kone"
    await seamark(f"a.test:{port} {{\ndnssec {{\n{options}\n}}\nfile db\n}}\n")
    resolver = await unbound("a.test", port)
    for name, kind in POSITIVE:
        reply = await ask(resolver, name, kind, want_dnssec=True)
        assert (reply.rcode(), is_validated(reply)) == (dns.rcode.NOERROR, True), (name, kind, reply.to_text())
        assert any(rrset.rdtype == dns.rdatatype.from_text(kind) for rrset in reply.answer), (name, kind)
    for name, kind in (*NEGATIVE, *MISSING):
        reply = await ask(resolver, name, kind, want_dnssec=True)
        assert (reply.rcode(), is_validated(reply)) == (dns.rcode.NOERROR, True), (name, kind, reply.to_text())
        assert not any(rrset.rdtype == dns.rdatatype.from_text(kind) for rrset in reply.answer), (name, kind)


@pytest.mark.parametrize("through", ["file", "secondary"])
async def test_a_zone_that_was_signed(through: str, seamark: Any, unbound: Any, ask: Any, tmp_path: Path) -> None:
    sign_file(tmp_path)
    port = free_port()
    await seamark(f"a.test:{port} {{\nfile db\ntransfer {{\nto *\n}}\n}}\n")
    if through == "secondary":
        port, primary = free_port(), port
        await seamark(f"a.test:{port} {{\nsecondary {{\ntransfer from 127.0.0.1:{primary}\n}}\n}}\n")
        for _ in range(500):
            if (await ask(port, "a.test.", "SOA")).rcode() == dns.rcode.NOERROR:
                break
            await asyncio.sleep(0.02)
    resolver = await unbound("a.test", port)
    wanted = [(POSITIVE, dns.rcode.NOERROR), (NEGATIVE, dns.rcode.NOERROR), (MISSING, dns.rcode.NXDOMAIN)]
    for questions, rcode in wanted:
        for name, kind in questions:
            reply = await ask(resolver, name, kind, want_dnssec=True)
            assert (reply.rcode(), is_validated(reply)) == (rcode, True), (name, kind, reply.to_text())
    plain = await ask(port, "nobody.a.test.", "A")
    assert not any(rrset.rdtype in (dns.rdatatype.NSEC, dns.rdatatype.RRSIG) for rrset in plain.authority)


async def test_a_clusters_zone(seamark: Any, unbound: Any, ask: Any, tmp_path: Path, fake_api: Any) -> None:
    new_key(tmp_path, "cluster.local.")
    meta = {"namespace": "default"}
    spec = {"ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}
    fake_api.put("namespaces", {"metadata": {"name": "default"}})
    addresses = {"clusterIP": "10.96.0.5", "clusterIPs": ["10.96.0.5"]}
    fake_api.put("services", {"metadata": meta | {"name": "web"}, "spec": spec | addresses})
    fake_api.put("services", {"metadata": meta | {"name": "heads"}, "spec": spec | {"clusterIP": "None"}})
    outside = {"type": "ExternalName", "externalName": "www.example.org"}
    fake_api.put("services", {"metadata": meta | {"name": "outside"}, "spec": outside})
    fake_api.put(
        "endpointslices",
        {
            "metadata": meta | {"name": "heads-1", "labels": {"kubernetes.io/service-name": "heads"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.244.1.5"], "hostname": "a"}],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        },
    )
    port = free_port()
    options = "key file Kone"
    await seamark(f"cluster.local:{port} {{\ndnssec {{\n{options}\n}}\nkubernetes\n}}\n")
    resolver = await unbound("cluster.local", port)
    for name, kind, is_there in CLUSTER:
        reply = await ask(resolver, name, kind, want_dnssec=True)
        assert (reply.rcode(), is_validated(reply)) == (dns.rcode.NOERROR, True), (name, kind, reply.to_text())
        assert bool(reply.answer) is is_there, (name, kind)


@pytest.mark.parametrize("signed", [True, False], ids=["file", "dnssec"])
async def test_delv_is_content(signed: bool, program: Any, seamark: Any, tmp_path: Path) -> None:
    """It validates by itself, asking for keys and proofs as it goes."""
    if signed:
        sign_file(tmp_path)
    else:
        new_key(tmp_path, "a.test.")
        (tmp_path / "db").write_text(ZONE)
    flags, _, algorithm, key = (tmp_path / "anchor").read_text().split("DNSKEY ")[1].split(maxsplit=3)
    anchor = f'trust-anchors {{ a.test. static-key {flags} 3 {algorithm} "{key.replace(" ", "").strip()}"; }};'
    (tmp_path / "anchors.conf").write_text(anchor)
    port = free_port()
    sign = "" if signed else "dnssec {\nkey file Kone\n}\n"
    await seamark(f"a.test:{port} {{\n{sign}file db\n}}\n")
    for (name, kind), wanted in (
        (("web.a.test.", "A"), "; fully validated"),
        (("one.wild.a.test.", "A"), "; fully validated"),
        (("web.a.test.", "AAAA"), "; negative response, fully validated"),
        (("nobody.a.test.", "A"), "; negative response, fully validated"),
    ):
        words = ("@127.0.0.1", "-p", str(port), "-a", str(tmp_path / "anchors.conf"), "+root=a.test", name, kind)
        process = await asyncio.create_subprocess_exec(
            program("delv"), *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        told, _ = await process.communicate()
        assert wanted in told.decode(), (name, kind, told.decode())


def told(reply: dns.message.Message) -> dict[str, Any]:
    """What a reply says, whatever the order; of signatures all but the dates and the numbers."""
    found: dict[str, Any] = {"rcode": dns.rcode.to_text(reply.rcode()), "aa": bool(reply.flags & dns.flags.AA)}
    for section in ("answer", "authority", "additional"):
        lines = []
        for rrset in getattr(reply, section):
            if rrset.rdtype != dns.rdatatype.RRSIG:
                lines += [f"{rrset.name} {rrset.ttl} {rrset.rdtype.name} {rdata.to_text()}" for rdata in rrset]
                continue
            for rdata in rrset:
                covered = (rdata.type_covered.name, rdata.algorithm, rdata.labels, rdata.original_ttl, rdata.key_tag)
                lines.append(f"{rrset.name} {rrset.ttl} RRSIG {covered} {rdata.signer}")
        found[section] = sorted(lines)
    return found


PROVED = {
    True: {("alias.a.test.", "AAAA", True), ("dangling.a.test.", "A", True), ("x.insecure.a.test.", "A", True)},
    False: {("dangling.a.test.", "A", True), ("x.insecure.a.test.", "A", True)},
}
"""Where CoreDNS proves nothing, or something of another name: what an alias leads to, and that a cut is insecure."""


@pytest.mark.parametrize("signed", [True, False], ids=["file", "dnssec"])
async def test_beside_coredns(signed: bool, beside: Any, seamark: Any, ask: Any, tmp_path: Path, host: Any) -> None:
    """The same zone with the same keys; what differs is PROVED, and unbound wants it so."""
    host.as_coredns = True
    if signed:
        sign_file(tmp_path)
    else:
        new_key(tmp_path, "a.test.")
        (tmp_path / "db").write_text(ZONE)
    plugins = "file db" if signed else "dnssec {\nkey file Kone\n}\nfile db"
    own, theirs, file = free_port(), free_port(), tmp_path / "theirs"
    file.write_text(f"a.test:{theirs} {{\nroot {tmp_path}\nbind 127.0.0.1\n{plugins}\n}}\n")
    await beside("coredns", "-conf", file, port=theirs)
    await seamark(f"a.test:{own} {{\n{plugins}\n}}\n")
    different = {}
    for name, kind in (*POSITIVE, *NEGATIVE, *MISSING, ("x.insecure.a.test.", "A"), ("web.a.test.", "NSEC")):
        for do in (True, False):
            ours, others = [told(await ask(port, name, kind, tcp=True, want_dnssec=do)) for port in (own, theirs)]
            if ours != others:
                different[name, kind, do] = (ours, others)
    assert set(different) == PROVED[signed], "\n".join(f"{key}: {pair}" for key, pair in different.items())
