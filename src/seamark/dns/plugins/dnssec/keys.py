"""Keys as ``dnssec-keygen`` writes them: NAME.key (a DNSKEY record) and NAME.private (its numbers in base64)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dns.dnssec
import dns.name
import dns.rdatatype
import dns.rrset
import dns.zonefile
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from dns.dnssectypes import Algorithm
from dns.rdtypes.ANY.DNSKEY import DNSKEY

TTL = 3600
"""Of a DNSKEY record that has none."""
SEP = 0x0001
"""Flag of a key that signs keys (RFC 4034 §2.1.1)."""
CURVES = {Algorithm.ECDSAP256SHA256: ec.SECP256R1(), Algorithm.ECDSAP384SHA384: ec.SECP384R1()}
RSA = frozenset({Algorithm.RSASHA1, Algorithm.RSASHA1NSEC3SHA1, Algorithm.RSASHA256, Algorithm.RSASHA512})


@dataclass(frozen=True, slots=True)
class Key:
    """``private`` is one of cryptography's; ``owner`` the zone it was made for."""

    record: DNSKEY
    private: Any
    owner: dns.name.Name = dns.name.root
    ttl: int = TTL

    @property
    def signs_keys(self) -> bool:
        return bool(self.record.flags & SEP)


def read_key(path: Path) -> Key:
    """``path`` with or without .key or .private. Raises OSError, ValueError, and DNSException for a bad record."""
    base = path.with_name(path.name.removesuffix(".key").removesuffix(".private"))
    public, private = (base.with_name(base.name + ending).read_text() for ending in (".key", ".private"))
    return make_key(base.name, public, private)


def make_key(name: str, public: str, private: str) -> Key:
    """Of the texts of the two files. Raises ValueError, and DNSException for a bad record."""
    rrset = _record(name, public)
    record: Any = rrset[0]
    found = _private(record.algorithm, _fields(private))
    if dns.dnssec.make_dnskey(found.public_key(), record.algorithm, record.flags).key != record.key:
        raise ValueError(f"{name}.private does not belong to {name}.key")
    return Key(record, found, rrset.name, rrset.ttl)


def _record(name: str, text: str) -> dns.rrset.RRset:
    for rrset in dns.zonefile.read_rrsets(text, default_ttl=TTL, rdclass=None):
        if rrset.rdtype == dns.rdatatype.DNSKEY and isinstance(rrset[0], DNSKEY):
            return rrset
    raise ValueError(f"{name}.key holds no DNSKEY record")


def _fields(text: str) -> Mapping[str, str]:
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _private(algorithm: int, fields: Mapping[str, str]) -> Any:
    try:
        kind = Algorithm(algorithm)
        if kind in CURVES:
            return ec.derive_private_key(_number(fields["PrivateKey"]), CURVES[kind])
        if kind == Algorithm.ED25519:
            return ed25519.Ed25519PrivateKey.from_private_bytes(base64.b64decode(fields["PrivateKey"]))
        if kind == Algorithm.ED448:
            return ed448.Ed448PrivateKey.from_private_bytes(base64.b64decode(fields["PrivateKey"]))
        if kind in RSA:
            return _rsa(fields)
    except KeyError as error:
        raise ValueError(f"the private key lacks {error}") from None
    raise ValueError(f"algorithm {algorithm} is not supported (ECDSA, Ed25519, Ed448 and RSA are)")


def _rsa(fields: Mapping[str, str]) -> rsa.RSAPrivateKey:
    public = rsa.RSAPublicNumbers(_number(fields["PublicExponent"]), _number(fields["Modulus"]))
    return rsa.RSAPrivateNumbers(
        p=_number(fields["Prime1"]),
        q=_number(fields["Prime2"]),
        d=_number(fields["PrivateExponent"]),
        dmp1=_number(fields["Exponent1"]),
        dmq1=_number(fields["Exponent2"]),
        iqmp=_number(fields["Coefficient"]),
        public_numbers=public,
    ).private_key()


def _number(text: str) -> int:
    return int.from_bytes(base64.b64decode(text, validate=True), "big")
