"""Takes signed queries, refuses unsigned ones where signatures are required, and signs the replies."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import dns.exception
import dns.name
import dns.rcode

from seamark.dns.corefile.keys import match_zone
from seamark.dns.corefile.lexer import Token
from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.tsig.config import Config, parse_secret
from seamark.dns.plugins.tsig.signing import verify
from seamark.dns.reply import reply_to

_KEY = re.compile(r'\s*key\s+"?([^\s"{]+)"?\s*\{([^}]*)\}\s*;?')
_SECRET = re.compile(r'secret\s+"?([^\s";]+)"?\s*;')


class Tsig:
    name = "tsig"

    def __init__(self, config: Config, site: Site) -> None:
        self._config = config
        self._site = site
        self._clock = site.host.clock
        self._keys = dict(config.secrets)
        for token in config.files:
            for name, secret in _read_keys(token, site):
                if name in self._keys:
                    raise token.error(f"tsig: '{token.text}': key '{name}' redefined")
                self._keys[name] = secret

    @property
    def keys(self) -> Mapping[dns.name.Name, bytes]:
        return self._keys

    async def start(self) -> None:
        """Keys are the whole server's; of two with one name the own block's counts."""
        for _, handler in self._site.everyone():
            if isinstance(handler, Tsig):
                self._keys = {**handler.keys, **self._keys}

    async def serve(self, query: Query, following: Next) -> Answer:
        signed = query.message.tsig
        if match_zone(self._config.zones, query.text) is None:
            return await following(query)
        if signed is None:
            if not self._config.requires(int(query.rdtype), int(query.message.opcode())):
                return await following(query)
            return Answer(dns.rcode.REFUSED, reply_to(query.message, dns.rcode.REFUSED), self.name)
        signer = verify(query.packet, signed, self._keys, int(self._clock.time()))
        query.message.tsig = None  # the following see a plain query
        if signer.error == dns.rcode.NOERROR:
            answer = await following(query)
        else:
            answer = Answer(dns.rcode.NOTAUTH, None, self.name)
        if answer.message is None:
            answer.message = reply_to(query.message, answer.rcode)
        answer.signer = signer
        return answer


def _read_keys(token: Token, site: Site) -> Iterator[tuple[dns.name.Name, bytes]]:
    """``key "name." { secret "…"; };`` as named.conf has it. Raises CorefileError."""
    try:
        text = (site.root / token.text).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise token.error(f"tsig: '{token.text}': {error}") from error
    at = 0
    while text[at:].strip():
        match = _KEY.match(text, at)
        secret = _SECRET.search(match[2]) if match else None
        if match is None or secret is None:
            line = text[:at].count("\n") + 1
            raise token.error(f'tsig: \'{token.text}\', line {line}: what follows is not key "NAME" {{ secret "…"; }};')
        at = match.end()
        try:
            yield dns.name.from_text(match[1]).canonicalize(), parse_secret(secret[1])
        except (ValueError, dns.exception.DNSException) as error:
            raise token.error(f"tsig: '{token.text}': key '{match[1]}': {error}") from None


def make(config: Config, site: Site) -> Tsig:
    return Tsig(config, site)
