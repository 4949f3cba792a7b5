"""Certificates: made once, carrying the names asked for, and good for a TLS handshake both ways."""

from __future__ import annotations

import base64
import datetime
import socket
import ssl
import threading
from pathlib import Path

import yaml
from cryptography import x509

from seamark.api.server import server_tls
from seamark.cli.pki import ensure_pki, render_kubeconfig

NOW = datetime.datetime.now(datetime.UTC)
NAMES = ("localhost", "127.0.0.1", "kubernetes.default.svc")


def test_made_once(tmp_path: Path) -> None:
    first = ensure_pki(tmp_path, server_names=NAMES, now=NOW)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    again = ensure_pki(tmp_path, server_names=NAMES, now=NOW)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    assert first.admin_token == again.admin_token


def test_server_certificate_follows_its_names_and_its_age(tmp_path: Path) -> None:
    pki = ensure_pki(tmp_path, server_names=NAMES, now=NOW)
    first = pki.server_cert.read_bytes()
    ensure_pki(tmp_path, server_names=(*NAMES, "10.96.0.1"), now=NOW)
    second = pki.server_cert.read_bytes()
    assert first != second
    ensure_pki(tmp_path, server_names=NAMES, now=NOW + datetime.timedelta(days=350))
    assert pki.server_cert.read_bytes() != second


def test_kubeconfig_with_token_holds_no_key(tmp_path: Path) -> None:
    pki = ensure_pki(tmp_path, server_names=NAMES, now=NOW)
    config = yaml.safe_load(render_kubeconfig(pki, "https://127.0.0.1:6443", token=True))
    assert config["users"][0]["user"] == {"token": pki.admin_token}
    with_certificate = yaml.safe_load(render_kubeconfig(pki, "https://127.0.0.1:6443", token=False))
    pem = base64.b64decode(with_certificate["users"][0]["user"]["client-certificate-data"])
    subject = x509.load_pem_x509_certificate(pem).subject.rfc4514_string()
    assert subject == "CN=kubernetes-admin,O=system:masters"


def test_handshake_shows_the_client_certificate(tmp_path: Path) -> None:
    pki = ensure_pki(tmp_path, server_names=NAMES, now=NOW)
    serving = server_tls(certificate=pki.server_cert, key=pki.server_key, client_ca=pki.ca_cert)
    seen: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with serving.wrap_socket(connection, server_side=True) as tls:
                seen.append(tls.getpeercert())
                tls.sendall(b"x")

        thread = threading.Thread(target=serve)
        thread.start()
        client = ssl.create_default_context(cafile=str(pki.ca_cert))
        client.load_cert_chain(pki.admin_cert, pki.admin_key)
        raw = socket.create_connection(listener.getsockname())
        with client.wrap_socket(raw, server_hostname="localhost") as tls:
            assert tls.recv(1) == b"x"
        thread.join()
    assert "kubernetes-admin" in str(seen[0])
