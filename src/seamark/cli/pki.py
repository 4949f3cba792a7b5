"""The cluster's own certificate authority: CA, API server certificate, administrator's certificate, signing key.

Made once per data directory; the API server's certificate is made anew when the names it must carry change or it
is about to expire. ECDSA P-256 throughout.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from seamark.cli.datadir import write_private

CA_DAYS = 3650
LEAF_DAYS = 365
RENEW_DAYS = 30
_CLIENT, _SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


@dataclass(frozen=True, slots=True)
class Pki:
    """Paths of what was made, and the administrator's bearer token."""

    ca_cert: Path
    server_cert: Path
    server_key: Path
    admin_cert: Path
    admin_key: Path
    service_account_key: Path
    admin_token: str

    @property
    def ca_pem(self) -> str:
        return self.ca_cert.read_text()

    @property
    def ca_key_pem(self) -> bytes:
        return self.ca_cert.with_suffix(".key").read_bytes()


def ensure_pki(directory: Path, *, server_names: Sequence[str], now: datetime.datetime) -> Pki:
    """Makes what is missing. ``server_names`` are DNS names and IP addresses of the API server."""
    ca_cert, ca_key = directory / "ca.crt", directory / "ca.key"
    if not (ca_cert.exists() and ca_key.exists()):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "seamark-ca")])
        builder = _builder(subject, subject, key.public_key(), now, CA_DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(_usage(is_ca=True), critical=True)
        _write_pair(ca_cert, ca_key, builder.sign(key, hashes.SHA256()), key)
    pki = Pki(
        ca_cert,
        directory / "apiserver.crt",
        directory / "apiserver.key",
        directory / "admin.crt",
        directory / "admin.key",
        directory / "service-account.key",
        _token(directory / "admin.token"),
    )
    issuer = x509.load_pem_x509_certificate(ca_cert.read_bytes())
    issuer_key = _load_key(ca_key)
    if not _is_current(pki.server_cert, now, server_names):
        _issue(pki.server_cert, pki.server_key, issuer, issuer_key, ("kube-apiserver", ""), server_names, now)
    if not _is_current(pki.admin_cert, now, ()):
        _issue(pki.admin_cert, pki.admin_key, issuer, issuer_key, ("kubernetes-admin", "system:masters"), (), now)
    if not pki.service_account_key.exists():
        write_private(pki.service_account_key, _key_pem(ec.generate_private_key(ec.SECP256R1())))
    return pki


def render_kubeconfig(pki: Pki, server: str, *, token: bool) -> str:
    """The administrator's kubeconfig, self-contained, with a client certificate or a bearer token."""
    user = (
        {"token": pki.admin_token}
        if token
        else {
            "client-certificate-data": base64.b64encode(pki.admin_cert.read_bytes()).decode(),
            "client-key-data": base64.b64encode(pki.admin_key.read_bytes()).decode(),
        }
    )
    ca = base64.b64encode(pki.ca_cert.read_bytes()).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "seamark", "cluster": {"server": server, "certificate-authority-data": ca}}],
        "users": [{"name": "kubernetes-admin", "user": user}],
        "contexts": [{"name": "seamark", "context": {"cluster": "seamark", "user": "kubernetes-admin"}}],
        "current-context": "seamark",
    }
    return yaml.safe_dump(config, sort_keys=False)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime.datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not is_ca,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )


def _issue(
    cert: Path,
    key_path: Path,
    issuer: x509.Certificate,
    issuer_key: ec.EllipticCurvePrivateKey,
    who: tuple[str, str],
    names: Sequence[str],
    now: datetime.datetime,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    common, group = who
    subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
    subject.append(x509.NameAttribute(NameOID.COMMON_NAME, common))
    builder = _builder(x509.Name(subject), issuer.subject, key.public_key(), now, LEAF_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(is_ca=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([_SERVER if names else _CLIENT]), critical=False)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = builder.add_extension(authority, critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_san(n) for n in names]), critical=False)
    _write_pair(cert, key_path, builder.sign(issuer_key, hashes.SHA256()), key)


def _san(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _is_current(path: Path, now: datetime.datetime, names: Sequence[str]) -> bool:
    if not path.exists():
        return False
    cert = x509.load_pem_x509_certificate(path.read_bytes())
    if cert.not_valid_after_utc < now + datetime.timedelta(days=RENEW_DAYS):
        return False
    if not names:
        return True
    found = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    carried = {str(v) for v in found.get_values_for_type(x509.IPAddress)} | set(found.get_values_for_type(x509.DNSName))
    return set(names) <= carried


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path}: not an ECDSA key")
    return key


def _write_pair(cert: Path, key_path: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    write_private(key_path, _key_pem(key))
    write_private(cert, certificate.public_bytes(serialization.Encoding.PEM))


def _token(path: Path) -> str:
    if not path.exists():
        write_private(path, secrets.token_hex(24).encode())
    return path.read_text().strip()
