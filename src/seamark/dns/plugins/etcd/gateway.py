"""What etcd holds, over the JSON gateway of its v3 API (``/v3/kv/range``), on the client port of every etcd since 3.4.

The gateway speaks HTTP/1.1, so the transport is the API client's; etcd's own gRPC would need a stack of its own.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from seamark.client.base import TransportError
from seamark.client.http import Credentials, HttpTransport
from seamark.dns.plugins.etcd.message import Entry
from seamark.machinery.wire import Request

TIMEOUT = 5.0
INVALID_TOKEN = 16
"""gRPC code Unauthenticated: the token has run out, or etcd has forgotten it."""


class EtcdError(Exception):
    """Says which server and what it said."""


class Gateway:
    """Asks the first server that answers, and goes on with that one."""

    def __init__(
        self, endpoints: Sequence[str], *, ca: bytes, credentials: Credentials, login: tuple[str, str] | None
    ) -> None:
        self._servers = [
            (url, HttpTransport(url, ca=ca, credentials=credentials, timeout=TIMEOUT)) for url in endpoints
        ]
        self._login = login
        self._token = ""

    async def close(self) -> None:
        for _, transport in self._servers:
            await transport.close()

    async def get(self, key: str) -> list[Entry]:
        return await self._range({"key": _encoded(key)})

    async def below(self, key: str) -> list[Entry]:
        """All keys that begin with ``key/``, sorted. ``0`` is the character behind ``/``."""
        return await self._range({"key": _encoded(f"{key}/"), "range_end": _encoded(f"{key}0")})

    async def left(self, lease: int) -> int:
        """Seconds; negative for a lease that is over."""
        return int((await self._ask("/v3/lease/timetolive", {"ID": str(lease)})).get("TTL", 0))

    async def _range(self, what: dict[str, Any]) -> list[Entry]:
        found = (await self._ask("/v3/kv/range", what)).get("kvs", [])
        return [
            Entry(
                base64.b64decode(entry["key"]).decode("utf-8", "replace"),
                base64.b64decode(entry.get("value", "")),
                int(entry.get("lease", 0)),
            )
            for entry in found
        ]

    async def _ask(self, path: str, what: dict[str, Any]) -> dict[str, Any]:
        if self._login is not None and not self._token:
            await self._log_in()
        status, answer = await self._post(path, what)
        if status != 200 and answer.get("code") == INVALID_TOKEN and self._login is not None:
            await self._log_in()
            status, answer = await self._post(path, what)
        if status != 200:
            raise EtcdError(f"{self._servers[0][0]}: {answer.get('message') or answer.get('error') or status}")
        return answer

    async def _log_in(self) -> None:
        user, password = self._login or ("", "")
        self._token = ""
        status, answer = await self._post("/v3/auth/authenticate", {"name": user, "password": password})
        if status != 200:
            why = answer.get("message") or answer.get("error") or status
            raise EtcdError(f"{self._servers[0][0]}: user {user}: {why}")
        self._token = str(answer.get("token", ""))

    async def _post(self, path: str, what: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        headers = {"content-type": "application/json"} | ({"authorization": self._token} if self._token else {})
        request = Request("POST", path, headers=headers, body=json.dumps(what).encode())
        tries = 2 * len(self._servers)  # the first may be a connection that etcd has closed meanwhile
        for left in reversed(range(tries)):
            url, transport = self._servers[0]
            try:
                response = await transport(request)
                found = json.loads(response.body)
                return response.status, found if isinstance(found, dict) else {}
            except TransportError as error:
                if not left:
                    raise EtcdError(str(error)) from error
                self._servers.append(self._servers.pop(0))
            except ValueError:
                raise EtcdError(f"{url}: answered {path} with something that is not JSON") from None
        raise EtcdError("no endpoint is given")


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode("utf-8")).decode("ascii")
