"""Plugin prometheus by HTTPS: Prometheus' web configuration, certificates of clients, and what is refused."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from seamark.dns.corefile.lexer import CorefileError
from seamark.dns.plugins.prometheus.web import read_web
from seamark.testing.ports import free_port

PLAIN = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n"
CHECKED = PLAIN + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n"


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    found = trustme.CA()
    issued = found.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    found.cert_pem.write_to_path(tmp_path / "ca.pem")
    return found


@pytest.fixture
def start(running: Any, tmp_path: Path) -> Callable[..., Any]:
    """``await start(text)`` -> the port of a server whose web configuration is the text."""

    async def run(web: str) -> int:
        port = free_port()
        (tmp_path / "web.yaml").write_text(web)
        words = f"bind 127.0.0.1\nprometheus 127.0.0.1:{port} {{\ntls {tmp_path}/web.yaml\n}}\nwhoami\n"
        await running(f".:{free_port()} {{\n{words}}}\n")
        return port

    return run


async def get(port: int, tls: ssl.SSLContext | None) -> str:
    """The first line of the answer; nothing where there is none."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        writer.write(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        line = await asyncio.wait_for(reader.readline(), 5)
        writer.close()
    except (OSError, EOFError):
        return ""
    return line.decode("latin-1").strip()


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    found = ssl.create_default_context()
    authority.configure_trust(found)
    return found


async def test_metrics_by_https(start: Any, authority: trustme.CA) -> None:
    port = await start(PLAIN)
    assert await get(port, trusting(authority)) == "HTTP/1.1 200 OK"
    assert await get(port, None) == ""


async def test_clients_prove_who_they_are(start: Any, authority: trustme.CA) -> None:
    port = await start(CHECKED)
    known = trusting(authority)
    assert await get(port, known) == ""
    authority.issue_cert("client.test").configure_cert(known)
    assert await get(port, known) == "HTTP/1.1 200 OK"


async def test_a_file_that_says_nothing_of_tls_is_plain_http(start: Any) -> None:
    assert await get(await start("{}"), None) == "HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    ("web", "reason"),
    [
        ("basic_auth_users:\n  a: b\n", "'basic_auth_users' in the file is not supported"),
        (PLAIN + "  cipher_suites: [x]\n", "'cipher_suites' in tls_server_config is not supported"),
        ("tls_server_config:\n  key_file: key.pem\n", "cert_file is missing"),
        (PLAIN + "  min_version: TLS10\n", "'TLS10' is no min_version that is supported"),
        (PLAIN + "  client_auth_type: RequestClientCert\n", "'RequestClientCert' is no client_auth_type"),
        (PLAIN + "  client_auth_type: RequireAndVerifyClientCert\n", "client_auth_type needs client_ca_file"),
        (PLAIN + "  client_ca_file: ca.pem\n", "client_ca_file without a client_auth_type"),
        (PLAIN.replace("cert.pem", "none.pem"), "No such file"),
        ("a: [", "it is not YAML"),
        ("- a", "the file is not made of names and values"),
    ],
)
async def test_what_is_refused(web: str, reason: str, start: Any, authority: trustme.CA) -> None:
    with pytest.raises(CorefileError, match=reason):
        await start(web)


def test_versions(authority: trustme.CA, tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(PLAIN + "  min_version: TLS13\n")
    found = read_web(tmp_path / "web.yaml")
    assert found is not None
    assert found.minimum_version == ssl.TLSVersion.TLSv1_3
