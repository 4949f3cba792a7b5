"""The cluster's certificate authority at work: a certificate out of an approved request.

The subject and its other names are the request's, the usages those that were asked for and approved; nothing else of
it is taken. A certificate begins five minutes ago, for clocks that are late, and never outlives the authority.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID as Extended

YEAR = datetime.timedelta(days=365)
BACKDATE = datetime.timedelta(minutes=5)
SHORT = datetime.timedelta(hours=8)
LEAST = datetime.timedelta(minutes=10)
_BITS = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)
_KEY_USAGES = {
    "signing": "digital_signature",
    "digital signature": "digital_signature",
    "content commitment": "content_commitment",
    "key encipherment": "key_encipherment",
    "key agreement": "key_agreement",
    "data encipherment": "data_encipherment",
    "cert sign": "key_cert_sign",
    "crl sign": "crl_sign",
    "encipher only": "encipher_only",
    "decipher only": "decipher_only",
}
_EXTENDED_USAGES = {
    "any": Extended.ANY_EXTENDED_KEY_USAGE,
    "server auth": Extended.SERVER_AUTH,
    "client auth": Extended.CLIENT_AUTH,
    "code signing": Extended.CODE_SIGNING,
    "email protection": Extended.EMAIL_PROTECTION,
    "s/mime": Extended.EMAIL_PROTECTION,
    "ipsec end system": x509.ObjectIdentifier("1.3.6.1.5.5.7.3.5"),
    "ipsec tunnel": x509.ObjectIdentifier("1.3.6.1.5.5.7.3.6"),
    "ipsec user": x509.ObjectIdentifier("1.3.6.1.5.5.7.3.7"),
    "timestamping": Extended.TIME_STAMPING,
    "ocsp signing": Extended.OCSP_SIGNING,
    "microsoft sgc": x509.ObjectIdentifier("1.3.6.1.4.1.311.10.3.3"),
    "netscape sgc": x509.ObjectIdentifier("2.16.840.1.113730.4.1"),
}


class Signer:
    def __init__(self, ca_pem: bytes, ca_key_pem: bytes) -> None:
        self._ca = x509.load_pem_x509_certificate(ca_pem)
        key = serialization.load_pem_private_key(ca_key_pem, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise ValueError(f"the key of the certificate authority is a {type(key).__name__}; it must be EC or RSA")
        self._key = key

    def sign(self, request_pem: bytes, usages: Sequence[str], seconds: int | None, *, now: float) -> bytes:
        """Raises ValueError where the authority itself is no longer valid."""
        request = x509.load_pem_x509_csr(request_pem)
        moment = datetime.datetime.fromtimestamp(int(now), datetime.UTC)
        until = self._ca.not_valid_after_utc
        if moment >= until:
            raise ValueError(f"the certificate authority has expired: {until}")
        builder = (
            x509.CertificateBuilder()
            .subject_name(request.subject)
            .issuer_name(self._ca.subject)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(moment - BACKDATE)
            .not_valid_after(min(moment + _lifetime(seconds), until))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if not _KEY_USAGES.keys().isdisjoint(usages):  # one that names no use is no valid extension
            builder = builder.add_extension(_key_usage(usages), critical=True)
        extended = list(dict.fromkeys(_EXTENDED_USAGES[usage] for usage in usages if usage in _EXTENDED_USAGES))
        if extended:
            builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
        try:
            names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            builder = builder.add_extension(names, critical=False)
        except x509.ExtensionNotFound:
            pass
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _lifetime(seconds: int | None) -> datetime.timedelta:
    """As asked for, at most a year. A long one ends earlier by what it begins earlier."""
    asked = YEAR if seconds is None else max(LEAST, min(datetime.timedelta(seconds=seconds), YEAR))
    return asked if asked < SHORT else asked - BACKDATE


def _key_usage(usages: Sequence[str]) -> x509.KeyUsage:
    bits = {_KEY_USAGES[usage] for usage in usages if usage in _KEY_USAGES}
    if "key_agreement" not in bits:
        bits -= {"encipher_only", "decipher_only"}
    return x509.KeyUsage(**{bit: bit in bits for bit in _BITS})
