"""Service account tokens of a pod, asked for by TokenRequest and renewed in time.

A token is renewed when four fifths of its life are over, or after a day, whichever comes first; one that cannot be
renewed stays in use as long as it is valid.
"""

from __future__ import annotations

from dataclasses import dataclass

from seamark.agent.podspec import Pod, TokenSource
from seamark.agent.volumes import Tokens, VolumeError, select_tokens
from seamark.client.client import Client
from seamark.machinery.clock import Clock, parse_time
from seamark.machinery.gvr import SERVICEACCOUNTS
from seamark.machinery.status import StatusError

DAY = 86400.0
LIFE_USED = 0.8
RETRY = 10.0


@dataclass(frozen=True, slots=True)
class Token:
    text: str
    issued: float
    expires: float

    @property
    def renew_at(self) -> float:
        return self.issued + min(LIFE_USED * (self.expires - self.issued), DAY)


class TokenKeeper:
    """The tokens of one pod."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._tokens: dict[TokenSource, Token] = {}
        self._not_before = 0.0

    @property
    def renew_at(self) -> float | None:
        """When ``read`` will next have something new."""
        moments = [token.renew_at for token in self._tokens.values()]
        return max(min(moments), self._not_before) if moments else None

    async def read(self, pod: Pod) -> Tokens:
        """Raises VolumeError where a token is needed and none can be had."""
        for source in select_tokens(pod):
            held = self._tokens.get(source)
            now = self._clock.time()
            if held is None or (now >= held.renew_at and now >= self._not_before):
                await self._renew(pod, source, held)
        return {source: token.text for source, token in self._tokens.items()}

    async def _renew(self, pod: Pod, source: TokenSource, held: Token | None) -> None:
        now = self._clock.time()
        try:
            self._tokens[source] = await self._request(pod, source)
        except StatusError as error:
            self._not_before = now + RETRY
            if held is None or held.expires <= now:
                raise VolumeError(f"failed to fetch token: {error.message}") from error

    async def _request(self, pod: Pod, source: TokenSource) -> Token:
        meta = pod.metadata
        asked = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [source.audience] if source.audience else [],
                "expirationSeconds": source.expiration_seconds,
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": meta.name, "uid": meta.uid},
            },
        }
        account = pod.spec.service_account_name or "default"
        now = self._clock.time()
        answer = await self._client.create(
            SERVICEACCOUNTS, asked, namespace=meta.namespace, name=account, subresource="token"
        )
        status = answer["status"]
        return Token(status["token"], now, parse_time(status["expirationTimestamp"]))
