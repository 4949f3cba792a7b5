"""Plugin dnssec with keys in AWS Secrets Manager: botocore asks a server on loopback that checks its signature.

botocore is an extra (``pip install 'seamark[aws]'``) that the development environment leaves out: 33 MB, and it holds
other packages back. These tests run where it is installed; what is read from a secret is tested everywhere.
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from typing import Any

import dns.dnssec
import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from dns.dnssectypes import Algorithm

from seamark.dns.corefile.lexer import CorefileError
from seamark.dns.plugins.dnssec import handler
from seamark.dns.plugins.dnssec.secretsmanager import parse_key

REGION, IDENTITY, SECRET = "eu-central-1", "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
APEX = dns.name.from_text("a.test.")
with_botocore = pytest.mark.skipif(find_spec("botocore") is None, reason="botocore is not installed (extra aws)")


def new_key(owner: str = "a.test.") -> tuple[Any, str]:
    """A DNSKEY rdata, and the secret that holds it."""
    private = ed25519.Ed25519PrivateKey.generate()
    record = dns.dnssec.make_dnskey(private.public_key(), Algorithm.ED25519, 257)
    raw = base64.b64encode(private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())).decode()
    texts = {"key": f"{owner} IN DNSKEY {record}\n", "private": f"Private-key-format: v1.3\nPrivateKey: {raw}\n"}
    return record, json.dumps(texts)


class SecretsManager(ThreadingHTTPServer):
    """GetSecretValue of the documented JSON protocol, for requests signed (version 4) with the one key it knows."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: SecretsManager

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        asked = json.loads(body)["SecretId"]
        if not self._is_signed(body):
            self._answer(400, {"__type": "InvalidSignatureException", "message": "the signature does not match"})
        elif self.headers["x-amz-target"] != "secretsmanager.GetSecretValue" or asked not in self.server.secrets:
            self._answer(400, {"__type": "ResourceNotFoundException", "Message": "can't find the specified secret."})
        else:
            self._answer(200, {"Name": asked, "SecretString": self.server.secrets[asked]})

    def _is_signed(self, body: bytes) -> bool:
        """Signs the request anew, as botocore does, and compares."""
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        given = self.headers["authorization"]
        signed = given.split("SignedHeaders=")[1].split(",")[0].split(";")
        headers = {name: self.headers[name] for name in signed}
        request = AWSRequest("POST", f"http://{self.headers['host']}{self.path}", headers=headers, data=body)
        request.context["timestamp"] = self.headers["x-amz-date"]
        auth = SigV4Auth(Credentials(IDENTITY, SECRET), "secretsmanager", REGION)
        text = auth.string_to_sign(request, auth.canonical_request(request))
        return bool(given.split("Signature=")[1] == auth.signature(text, request))

    def _answer(self, status: int, found: dict[str, str]) -> None:
        body = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("content-type", "application/x-amz-json-1.1")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[dict[str, str]]:
    server = SecretsManager()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", IDENTITY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    yield server.secrets
    server.shutdown()
    thread.join()
    server.server_close()


async def started(serve: Any, *names: str) -> Any:
    """Keys are fetched in a thread, on whose time the clock has no say."""
    options = f"key aws_secretsmanager {' '.join(names)}"
    hosts = "hosts /nonexistent {\n10.0.0.1 web.a.test\n}"
    return await serve(f"a.test {{\ndnssec {{\n{options}\n}}\n{hosts}\n}}")


@with_botocore
async def test_keys_are_fetched_and_sign(serve: Any, secrets: dict[str, str]) -> None:
    one, secrets["one"] = new_key()
    two, secrets["arn:aws:secretsmanager:eu-central-1:1:secret:two"] = new_key("test.")
    server = await started(serve, *secrets)
    found = await server.ask(dns.message.make_query("web.a.test.", "A", want_dnssec=True), protocol="tcp")
    answer, signatures = found.answer
    assert len(signatures) == 2
    keys = {APEX: dns.rrset.from_rdata_list(APEX, 60, [one, two])}
    dns.dnssec.validate(answer, signatures, keys, now=server.clock.time())
    told = await server.ask(dns.message.make_query("a.test.", "DNSKEY"))
    assert set(told.answer[0]) == {one, two}


@with_botocore
@pytest.mark.parametrize(
    ("secret", "environment", "message"),
    [
        ("nobody", {}, "'nobody' is not a key in AWS Secrets Manager: .*can't find the specified secret"),
        ("one", {"AWS_SECRET_ACCESS_KEY": "wrong"}, "the signature does not match"),
        ("one", {"AWS_DEFAULT_REGION": "", "AWS_ENDPOINT_URL_SECRETS_MANAGER": ""}, "You must specify a region"),
        ("other", {}, r"key b\.test\. \(keyid: \d+\) can not sign any of the zones"),
        ("bad", {}, 'not a JSON object with the texts "key" and "private"'),
    ],
)
async def test_what_is_amiss_is_told_at_the_secrets_word(
    secret: str,
    environment: dict[str, str],
    message: str,
    serve: Any,
    secrets: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secrets |= {"one": new_key()[1], "other": new_key("b.test.")[1], "bad": "{}"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    with pytest.raises(CorefileError, match=message):
        await started(serve, secret)


async def test_without_the_extra_the_server_says_what_to_do(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler, "is_available", lambda: False)
    with pytest.raises(CorefileError, match=r"'one': it needs botocore, .* pip install 'seamark\[aws\]'"):
        await started(serve, "one")


async def test_keys_are_fetched_beside_the_loop(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow answer holds no other server up."""
    secret, went = new_key()[1], threading.Event()

    def fetch(name: str, region: str | None) -> Any:
        assert region is None and went.wait(10)
        return parse_key(name, secret)

    monkeypatch.setattr(handler, "is_available", lambda: True)
    monkeypatch.setattr(handler, "fetch_key", fetch)
    starting = asyncio.ensure_future(started(serve, "one"))
    await asyncio.sleep(0)
    assert not starting.done()
    went.set()
    found = await (await starting).ask(dns.message.make_query("a.test.", "DNSKEY"))
    assert found.answer[0].rdtype == dns.rdatatype.DNSKEY


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"key": "x"}', '{"key": 1, "private": 2}', "null"])
def test_a_secret_of_another_kind_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a JSON object with the texts"):
        parse_key("one", text)
