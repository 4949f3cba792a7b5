"""Plugin dnssec: what it signs is verified by dnspython; keys are written as dnssec-keygen writes them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from dns.dnssectypes import Algorithm

from seamark.dns.corefile.lexer import CorefileError

ZONE = """$TTL 300
@ IN SOA ns root 7 3600 600 86400 60
@ IN NS ns
ns IN A 192.0.2.1
web IN A 192.0.2.2
alias IN CNAME web
sub IN NS ns.sub
ns.sub IN A 192.0.2.4
safe IN NS ns.sub
safe IN DS 1 8 2 0000000000000000000000000000000000000000000000000000000000000000
"""
APEX = dns.name.from_text("a.test.")


def number(value: int) -> str:
    return base64.b64encode(value.to_bytes((value.bit_length() + 7) // 8, "big")).decode()


def write_key(folder: Path, name: str, algorithm: Algorithm, flags: int) -> Any:
    """The DNSKEY rdata."""
    if algorithm == Algorithm.ED25519:
        private: Any = ed25519.Ed25519PrivateKey.generate()
        raw = private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        fields = {"PrivateKey": base64.b64encode(raw).decode()}
    elif algorithm == Algorithm.RSASHA256:
        private = rsa.generate_private_key(65537, 2048)
        n = private.private_numbers()
        held = {"Modulus": n.public_numbers.n, "PublicExponent": n.public_numbers.e, "PrivateExponent": n.d}
        held |= {"Prime1": n.p, "Prime2": n.q, "Exponent1": n.dmp1, "Exponent2": n.dmq1, "Coefficient": n.iqmp}
        fields = {name: number(value) for name, value in held.items()}
    else:
        private = ec.generate_private_key(ec.SECP256R1())
        fields = {"PrivateKey": number(private.private_numbers().private_value)}
    record = dns.dnssec.make_dnskey(private.public_key(), algorithm, flags)
    (folder / f"{name}.key").write_text(f"; a comment\na.test. IN DNSKEY {record}\n")
    lines = ["Private-key-format: v1.3", f"Algorithm: {int(algorithm)}", *(f"{k}: {v}" for k, v in fields.items())]
    (folder / f"{name}.private").write_text("\n".join(lines) + "\n")
    return record


@pytest.fixture
def ask(serve: Any, tmp_path: Path) -> Any:
    async def asked(name: str, kind: str = "A", *, keys: str = "Kone", do: bool = True) -> dns.message.Message:
        (tmp_path / "db").write_text(ZONE)
        options = f"key file {keys}"
        server = await serve(f"a.test {{\nroot {tmp_path}\nprometheus\ndnssec {{\n{options}\n}}\nfile db\n}}")
        found = await server.ask(dns.message.make_query(name, kind, want_dnssec=do), protocol="tcp")
        asked.now = server.clock.time()
        return found

    return asked


def verified(section: list[dns.rrset.RRset], keys: list[Any], now: float) -> list[str]:
    """The types in a section that are signed. Raises for a signature that does not hold."""
    found = []
    for rrset in section:
        if rrset.rdtype == dns.rdatatype.RRSIG:
            (signed,) = (each for each in section if each.name == rrset.name and each.rdtype == rrset.covers)
            dns.dnssec.validate(signed, rrset, {APEX: dns.rrset.from_rdata_list(APEX, 300, keys)}, now=now)
            found.append(signed.rdtype.name)
    return sorted(found)


@pytest.mark.parametrize("algorithm", [Algorithm.ECDSAP256SHA256, Algorithm.ED25519, Algorithm.RSASHA256])
async def test_answers_are_signed(algorithm: Algorithm, ask: Any, tmp_path: Path, host: Any) -> None:
    key = write_key(tmp_path, "Kone", algorithm, 257)
    found = await ask("web.a.test.")
    assert verified(found.answer, [key], ask.now) == ["A"] and verified(found.authority, [key], ask.now) == ["NS"]
    found = await ask("alias.a.test.")
    assert verified(found.answer, [key], ask.now) == ["A", "CNAME"]
    found = await ask("a.test.", "DNSKEY")
    assert verified(found.answer, [key], ask.now) == ["DNSKEY"]
    assert not any(rrset.rdtype == dns.rdatatype.RRSIG for rrset in (await ask("web.a.test.", do=False)).answer)
    assert 'coredns_dnssec_cache_misses_total{server="dns://:53"}' in host.metrics.text().decode()


@pytest.mark.parametrize(("name", "kind"), [("no.a.test.", "A"), ("web.a.test.", "TXT"), ("a.test.", "TXT")])
async def test_a_denial_says_the_name_exists_without_the_type(name: str, kind: str, ask: Any, tmp_path: Path) -> None:
    key = write_key(tmp_path, "Kone", Algorithm.ECDSAP256SHA256, 257)
    found = await ask(name, kind)
    assert found.rcode() == dns.rcode.NOERROR and not found.answer
    assert verified(found.authority, [key], ask.now) == ["NSEC", "SOA"]
    (nsec,) = (rrset for rrset in found.authority if rrset.rdtype == dns.rdatatype.NSEC)
    assert nsec.name.to_text() == name and f" {kind} " not in f" {nsec[0].to_text()} "
    assert nsec[0].next == dns.name.from_text(f"\\000.{name}")


async def test_the_proof_itself_can_be_asked_for(ask: Any, tmp_path: Path) -> None:
    key = write_key(tmp_path, "Kone", Algorithm.ECDSAP256SHA256, 257)
    found = await ask("no.a.test.", "NSEC")
    assert verified(found.answer, [key], ask.now) == ["NSEC"] and not found.authority


async def test_referrals_are_signed_or_proved_insecure(ask: Any, tmp_path: Path) -> None:
    key = write_key(tmp_path, "Kone", Algorithm.ECDSAP256SHA256, 257)
    found = await ask("x.safe.a.test.")
    assert verified(found.authority, [key], ask.now) == ["DS"] and not found.flags & dns.flags.AA
    assert verified((await ask("x.sub.a.test.")).authority, [key], ask.now) == ["NSEC"]


async def test_keys_of_both_kinds_share_the_work(ask: Any, tmp_path: Path) -> None:
    zone = write_key(tmp_path, "Kzone", Algorithm.ECDSAP256SHA256, 256)
    entry = write_key(tmp_path, "Kentry", Algorithm.ED25519, 257)
    keys = "Kzone.key Kentry.private"
    assert verified((await ask("web.a.test.", keys=keys)).answer, [zone], ask.now) == ["A"]
    found = await ask("a.test.", "DNSKEY", keys=keys)
    assert len(found.answer[0]) == 2 and verified(found.answer, [entry], ask.now) == ["DNSKEY"]


async def test_keys_that_do_not_fit_are_told_at_their_word(ask: Any, tmp_path: Path) -> None:
    with pytest.raises(CorefileError, match=r"'Kone' is not a key: .*No such file"):
        await ask("web.a.test.")
    write_key(tmp_path, "Kone", Algorithm.ECDSAP256SHA256, 257)
    (tmp_path / "Kone.private").write_text("Algorithm: 13\n")
    with pytest.raises(CorefileError, match="lacks 'PrivateKey'"):
        await ask("web.a.test.")
    other = tmp_path / "other"
    other.mkdir()
    write_key(other, "Kone", Algorithm.ECDSAP256SHA256, 257)
    (tmp_path / "Kone.private").write_text((other / "Kone.private").read_text())
    with pytest.raises(CorefileError, match="does not belong to"):
        await ask("web.a.test.")


async def test_the_original_ttl_is_the_records_or_coredns(ask: Any, tmp_path: Path, host: Any) -> None:
    key = write_key(tmp_path, "Kone", Algorithm.ECDSAP256SHA256, 257)
    for as_coredns, ttl in ((False, 300), (True, 3600)):
        host.as_coredns = as_coredns
        found = await ask("web.a.test.")
        assert verified(found.answer, [key], ask.now) == ["A"]
        (signature,) = (rrset[0] for rrset in found.answer if rrset.rdtype == dns.rdatatype.RRSIG)
        assert signature.original_ttl == ttl
