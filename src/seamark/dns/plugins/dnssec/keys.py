"""Keys as ``dnssec-keygen`` writes them: NAME.key (a DNSKEY record) and NAME.private (its numbers in base64)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dns.dnssec
import dns.rdatatype
import dns.zonefile
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from dns.dnssectypes import Algorithm
from dns.rdtypes.ANY.DNSKEY import DNSKEY

SEP = 0x0001
"""Flag of a key that signs keys (RFC 4034 §2.1.1)."""
CURVES = {Algorithm.ECDSAP256SHA256: ec.SECP256R1(), Algorithm.ECDSAP384SHA384: ec.SECP384R1()}
RSA = frozenset({Algorithm.RSASHA1, Algorithm.RSASHA1NSEC3SHA1, Algorithm.RSASHA256, Algorithm.RSASHA512})


@dataclass(frozen=True, slots=True)
class Key:
    """``private`` is one of cryptography's."""

    record: DNSKEY
    private: Any

    @property
    def signs_keys(self) -> bool:
        return bool(self.record.flags & SEP)


def read_key(path: Path) -> Key:
    """``path`` with or without .key or .private. Raises OSError, ValueError, and DNSException for a bad record."""
    base = path.with_name(path.name.removesuffix(".key").removesuffix(".private"))
    record = _record(base.with_name(base.name + ".key"))
    private = _private(record.algorithm, _fields(base.with_name(base.name + ".private")))
    made = dns.dnssec.make_dnskey(private.public_key(), record.algorithm, record.flags)
    if made.key != record.key:
        raise ValueError(f"{base.name}.private does not belong to {base.name}.key")
    return Key(record, private)


def _record(path: Path) -> DNSKEY:
    for rrset in dns.zonefile.read_rrsets(path.read_text(), default_ttl=0, rdclass=None):
        if rrset.rdtype == dns.rdatatype.DNSKEY and isinstance(rrset[0], DNSKEY):
            return rrset[0]
    raise ValueError(f"{path.name} holds no DNSKEY record")


def _fields(path: Path) -> Mapping[str, str]:
    pairs = (line.partition(":") for line in path.read_text().splitlines())
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
