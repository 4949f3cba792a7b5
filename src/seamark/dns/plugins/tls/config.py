"""``tls CERT KEY [CA] { client_auth MODE; keylog FILE }``."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from seamark.dns.corefile.block import Block, Line
from seamark.dns.corefile.lexer import Token

MODES = {
    "nocert": ssl.CERT_NONE,
    "verify_if_given": ssl.CERT_OPTIONAL,
    "require_and_verify": ssl.CERT_REQUIRED,
}
UNCHECKED = ("request", "require")
REFUSED = {
    "acme": "certificates are not fetched; let cert-manager or certbot do it",
}


@dataclass(frozen=True, slots=True)
class Config:
    certificate: Token
    key: Token
    authority: Token | None = None
    client_auth: ssl.VerifyMode = ssl.CERT_NONE
    client_auth_at: Token | None = None
    keylog: Token | None = None


def parse(block: Block) -> Config:
    modes: list[tuple[ssl.VerifyMode, Token | None]] = [(ssl.CERT_NONE, None)]
    logs: list[Token] = []

    def read_client_auth(line: Line) -> None:
        word = line.one("a mode")
        if word.text in UNCHECKED:
            raise word.error(f"'{word.text}' asks for certificates and does not check them: it is not supported")
        if word.text not in MODES:
            raise word.error(f"'{word.text}' is not a mode of client_auth (known: {', '.join(MODES)})")
        modes.append((MODES[word.text], word))

    readers = {"client_auth": read_client_auth, "keylog": lambda line: logs.append(line.one("a file"))}
    block.read(readers, REFUSED)
    words = block.between(2, 3, "a certificate, a key and an authority file")
    authority = words[2] if len(words) > 2 else None
    return Config(words[0], words[1], authority, *modes[-1], keylog=logs[-1] if logs else None)
