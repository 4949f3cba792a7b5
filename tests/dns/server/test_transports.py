"""HTTPS (HTTP/1.1, HTTP/2), HTTP/3, QUIC, several sockets; asked by clients that are not ours: dig, curl, dnspython."""

from __future__ import annotations

import asyncio
import base64
import shutil
import ssl
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import dns.asyncquery
import dns.message
import dns.query
import pytest
import trustme
from aioquic.asyncio.client import connect
from aioquic.quic.configuration import QuicConfiguration

from seamark.dns.corefile.lexer import CorefileError
from seamark.dns.server.https import age_of
from seamark.dns.server.loading import load_corefile
from seamark.dns.server.process import Process
from seamark.testing.ports import free_port

HOSTS = "hosts /nonexistent {\n10.0.0.1 a.test\nttl 77\n}\n"
QUESTION = dns.message.make_query("a.test.", "A", id=0)
WIRE = QUESTION.to_wire()


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    found = trustme.CA()
    issued = found.issue_cert("dns.test", "127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    found.cert_pem.write_to_path(tmp_path / "ca.pem")
    return found


@pytest.fixture
def start(running: Any, tmp_path: Path) -> Callable[..., Any]:
    """``await start("https", words)`` -> the port of such a server."""

    async def run(transport: str, words: str = "", *, tls: bool = True, port: int = 0) -> int:
        port = port or free_port()
        secured = "tls cert.pem key.pem\n" if tls else ""
        await running(f"{transport}://test:{port} {{\nroot {tmp_path}\nbind 127.0.0.1\n{secured}{words}\n{HOSTS}}}\n")
        return port

    return run


async def run(*command: str) -> str:
    program = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await asyncio.wait_for(program.communicate(), 20)
    return out.decode(errors="replace")


@pytest.mark.skipif(shutil.which("dig") is None, reason="no dig")
@pytest.mark.parametrize("method", ["+https", "+https-get"])
async def test_dig_asks_over_https(method: str, start: Any, authority: trustme.CA, tmp_path: Path) -> None:
    port = await start("https")
    words = ("+tls-ca=" + str(tmp_path / "ca.pem"), "+noall", "+answer")
    out = await run("dig", "@127.0.0.1", "-p", str(port), method, *words, "a.test", "A")
    assert out.split() == ["a.test.", "77", "IN", "A", "10.0.0.1"]


async def curl(port: int, path: str, *words: str, tmp: Path | None = None) -> tuple[str, str]:
    """HTTP version and status, and the headers."""
    scheme = ("https", "--cacert", str(tmp / "ca.pem")) if tmp else ("http",)
    told = ("-s", "-o", "/dev/null", "-D", "-", "-w", "%{http_version} %{http_code}")
    out = await run("curl", *told, *scheme[1:], *words, f"{scheme[0]}://127.0.0.1:{port}{path}")
    headers, _, last = out.rpartition("\n")
    return last, headers.lower()


async def test_http_two_and_one_by_what_the_client_offers(
    start: Any, host: Any, authority: trustme.CA, tmp_path: Path
) -> None:
    port = await start("https")
    asked = base64.urlsafe_b64encode(WIRE).rstrip(b"=").decode()
    (tmp_path / "query").write_bytes(WIRE)
    post = ("--data-binary", f"@{tmp_path / 'query'}", "-H", "content-type: application/dns-message")
    for version, option in (("2", "--http2"), ("1.1", "--http1.1")):
        found, headers = await curl(port, f"/dns-query?dns={asked}", option, tmp=tmp_path)
        assert found == f"{version} 200"
        assert "content-type: application/dns-message" in headers and "cache-control: max-age=77" in headers
        assert (await curl(port, "/dns-query", option, *post, tmp=tmp_path))[0] == f"{version} 200"
        assert (await curl(port, "/elsewhere", option, tmp=tmp_path))[0] == f"{version} 404"
        assert (await curl(port, "/dns-query?dns=%25", option, tmp=tmp_path))[0] == f"{version} 400"
        assert (await curl(port, "/dns-query", option, "-X", "PUT", tmp=tmp_path))[0] == f"{version} 400"
    label = f'coredns_dns_https_responses_total{{server="https://127.0.0.1:{port}",status="400"}} 4.0'
    assert label in host.metrics.text().decode()


async def test_plain_http_for_a_proxy_in_front(start: Any) -> None:
    port = await start("https", tls=False)
    asked = base64.urlsafe_b64encode(WIRE).rstrip(b"=").decode()
    assert (await curl(port, f"/dns-query?dns={asked}"))[0] == "1.1 200"


async def test_many_questions_on_one_connection_and_what_is_not_http(start: Any) -> None:
    port = await start("https", tls=False)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /dns-query HTTP/1.1\r\nhost: x\r\ncontent-length: {len(WIRE)}\r\n\r\n".encode()
    for _ in range(3):
        writer.write(head + WIRE)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        assert dns.message.from_wire(await reader.readexactly(length)).answer[0][0].to_text() == "10.0.0.1"
    writer.write(b"\x16\x03 nothing of the kind\r\n\r\n")
    assert await reader.read() == b""
    writer.close()


async def test_connections_over_the_limit_end_the_oldest(start: Any) -> None:
    port = await start("https", "https {\nmax_connections 2\n}", tls=False)
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
    assert await asyncio.wait_for(held[0][0].read(), 5) == b""
    for _, writer in held:
        writer.close()


async def test_one_query_a_stream_over_quic(start: Any, host: Any, authority: trustme.CA, tmp_path: Path) -> None:
    port = await start("quic")
    found = await dns.asyncquery.quic(
        QUESTION, "127.0.0.1", timeout=5, port=port, verify=str(tmp_path / "ca.pem"), server_hostname="dns.test"
    )
    assert found.answer[0][0].to_text() == "10.0.0.1"
    counted = f'coredns_dns_quic_responses_total{{server="quic://127.0.0.1:{port}",status="0x0"}} 1.0'
    assert counted in host.metrics.text().decode()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\0",
        struct.pack("!H", 5) + b"ab",
        struct.pack("!H", 3) + b"abc",
        struct.pack("!H", len(WIRE)) + b"\1" + WIRE[1:],
    ],
)
async def test_what_breaks_the_rules_of_quic_ends_the_connection(
    sent: bytes, start: Any, host: Any, authority: trustme.CA, tmp_path: Path
) -> None:
    port = await start("quic")
    configuration = QuicConfiguration(alpn_protocols=["doq"], server_name="dns.test", cafile=str(tmp_path / "ca.pem"))
    async with connect("127.0.0.1", port, configuration=configuration) as client:
        _, writer = await client.create_stream()
        writer.write(sent)
        writer.write_eof()
        await asyncio.wait_for(client.wait_closed(), 5)
        assert client._quic._close_event is not None and client._quic._close_event.error_code == 2
    assert 'status="0x2"} 1.0' in host.metrics.text().decode()


async def test_https_over_quic(start: Any, host: Any, authority: trustme.CA, tmp_path: Path) -> None:
    port = await start("https3")
    found = await dns.asyncquery.https(
        QUESTION,
        "https://dns.test/dns-query",
        timeout=5,
        port=port,
        verify=str(tmp_path / "ca.pem"),
        bootstrap_address="127.0.0.1",
        http_version=dns.query.HTTPVersion.H3,
    )
    assert found.answer[0][0].to_text() == "10.0.0.1"
    counted = f'coredns_dns_https3_responses_total{{server="https3://127.0.0.1:{port}",status="200"}} 1.0'
    assert counted in host.metrics.text().decode()


async def test_what_is_for_another_transport_or_lacks_a_certificate_is_refused(
    start: Any, authority: trustme.CA
) -> None:
    with pytest.raises(CorefileError, match="is for quic:// servers"):
        await start("https", "quic")
    with pytest.raises(CorefileError, match="needs the plugin tls"):
        await start("quic", tls=False)


async def test_processes_share_an_address_by_multisocket(start: Any) -> None:
    port = await start("dns", "multisocket 2", tls=False)
    assert await start("dns", "multisocket", tls=False, port=port) == port
    with pytest.raises(OSError, match="cannot listen"):
        await start("dns", tls=False, port=port)
    for _ in range(8):
        assert (await dns.asyncquery.udp(QUESTION, "127.0.0.1", port=port, timeout=5)).answer
        assert (await dns.asyncquery.tcp(QUESTION, "127.0.0.1", port=port, timeout=5)).answer


async def test_new_certificates_are_taken_by_a_reload(host: Any, authority: trustme.CA, tmp_path: Path) -> None:
    port, file = free_port(), tmp_path / "Corefile"
    text = f"quic://test:{port} {{\nroot {tmp_path}\nbind 127.0.0.1\ntls cert.pem key.pem\n{HOSTS}}}\n"
    file.write_text(text)
    process = Process(host, partial(load_corefile, file, port=53, environment={}))
    await process.start()
    try:
        other = trustme.CA()
        issued = other.issue_cert("dns.test")
        issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
        issued.private_key_pem.write_to_path(tmp_path / "key.pem")
        other.cert_pem.write_to_path(tmp_path / "other.pem")
        file.write_text(text + "# changed\n")
        assert await process.reload()
        trusted = {"verify": str(tmp_path / "other.pem"), "server_hostname": "dns.test"}
        assert (await dns.asyncquery.quic(QUESTION, "127.0.0.1", timeout=5, port=port, **trusted)).answer
    finally:
        await process.kill()


def test_a_reply_without_records_may_be_kept_an_hour() -> None:
    assert age_of(dns.message.make_response(QUESTION).to_wire()) == 3600
    assert age_of(b"no message") == 0
    assert ssl.HAS_ALPN


@pytest.mark.parametrize(("transport", "label"), [("https", "CLIENT_HANDSHAKE_TRAFFIC_SECRET"), ("quic", "CLIENT_")])
async def test_the_secrets_of_connections_can_be_logged(
    transport: str, label: str, start: Any, log: list[str], authority: trustme.CA, tmp_path: Path
) -> None:
    file = tmp_path / "keys"
    words = "tls cert.pem key.pem {\nkeylog keys\n}\n"
    port = await start(transport, words, tls=False)
    assert f'[WARNING] plugin/tls: Writing TLS Key Log to "{file}"' in log
    assert file.stat().st_mode & 0o777 == 0o600
    trusted = {"timeout": 5, "port": port, "verify": str(tmp_path / "ca.pem")}
    if transport == "quic":
        await dns.asyncquery.quic(QUESTION, "127.0.0.1", server_hostname="dns.test", **trusted)
    else:
        await curl(port, "/dns-query", tmp=tmp_path)
    assert any(line.startswith(label) for line in file.read_text().splitlines())


async def test_what_tls_cannot_do_is_refused(start: Any, authority: trustme.CA) -> None:
    with pytest.raises(CorefileError, match="unable to write TLS Key Log"):
        await start("https", "tls cert.pem key.pem {\nkeylog none/keys\n}\n", tls=False)
    with pytest.raises(CorefileError, match="certificates of clients are not checked at quic://"):
        await start("quic", "tls cert.pem key.pem ca.pem {\nclient_auth require_and_verify\n}\n", tls=False)
