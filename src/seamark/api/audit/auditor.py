"""Tells the audit log of each request, around its being served: received, answered or begun, complete, gone wrong."""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from seamark.api.audit.event import Obj, add_request, add_response, begin_event, render_user
from seamark.api.audit.policy import Policy, Stage, Verdict
from seamark.api.authz.attributes import is_resource_path, path_attributes, unserved_attributes
from seamark.api.authz.authorizer import Authorizer
from seamark.api.authz.impersonation import is_impersonation, parse_impersonation
from seamark.api.objects import encode
from seamark.api.respond import close_stream
from seamark.api.streaming.channel import RawUpgrade
from seamark.api.websocket import Upgrade
from seamark.machinery.authorize import Attributes
from seamark.machinery.clock import Clock, format_micro_time
from seamark.machinery.status import StatusError
from seamark.machinery.wire import Identity, Request, Response

_log = logging.getLogger(__name__)

Answer = TypeVar("Answer", bound="Response | Upgrade | RawUpgrade")


@dataclass(frozen=True, slots=True)
class Audit:
    """What is to be told, and who writes it: ``write`` takes one line."""

    policy: Policy
    write: Callable[[bytes], None]


class Auditor:
    """Around every request that comes, over the network and in process."""

    def __init__(self, audit: Audit, clock: Clock, authorizer: Authorizer) -> None:
        self._audit = audit
        self._clock = clock
        self._authorizer = authorizer

    async def handle(
        self, request: Request, who: Identity | None, serve: Callable[[Request], Awaitable[Answer]]
    ) -> Answer:
        """``who`` None = nobody, whose credentials were refused."""
        asked = unserved_attributes(request) if is_resource_path(request.path) else path_attributes(request)
        verdict = self._audit.policy.judge(who or Identity(""), asked)
        if verdict.level == "None":
            return await serve(request)
        audit_id = request.headers.get("audit-id", "")[:64] or str(uuid.uuid4())
        event = begin_event(request, asked, verdict, audit_id=audit_id, user=render_user(who))
        event["requestReceivedTimestamp"] = format_micro_time(self._clock.time())
        if is_impersonation(request.headers):
            event |= _impersonated(request)
        self._tell(event, "RequestReceived", verdict)
        add_request(event, request, verdict)
        answer = await serve(request)
        return await self._answered(event, verdict, answer, who, asked)

    async def _answered(
        self, event: Obj, verdict: Verdict, answer: Answer, who: Identity | None, asked: Attributes
    ) -> Answer:
        if who is not None:
            decision = await self._authorizer.decide(who, asked)
            verb = "allow" if decision.allowed else "forbid"
            notes = {"authorization.k8s.io/decision": verb, "authorization.k8s.io/reason": decision.reason}
            event["annotations"] = notes
        if not isinstance(answer, Response):
            event["responseStatus"] = {"metadata": {}, "code": 101}
            self._tell(event, "ResponseStarted", verdict)
            return replace(answer, run=self._until_end(answer.run, event, verdict))
        answer.headers["audit-id"] = event["auditID"]
        add_response(event, answer, verdict)
        if answer.stream is None:
            self._tell(event, "Panic" if answer.fault else "ResponseComplete", verdict)
            return answer
        self._tell(event, "ResponseStarted", verdict)
        answer.stream = _ToldStream(answer.stream, lambda: self._tell(event, "ResponseComplete", verdict))
        return answer

    def _until_end(
        self, run: Callable[[Any], Awaitable[None]], event: Obj, verdict: Verdict
    ) -> Callable[[Any], Awaitable[None]]:
        async def told(channel: Any) -> None:
            try:
                await run(channel)
            finally:
                self._tell(event, "ResponseComplete", verdict)

        return told

    def _tell(self, event: Obj, stage: Stage, verdict: Verdict) -> None:
        """A medium that refuses costs the line, not the request."""
        if stage in verdict.omitted:
            return
        now = format_micro_time(self._clock.time())
        try:
            self._audit.write(encode({**event, "stage": stage, "stageTimestamp": now}) + b"\n")
        except OSError as error:
            _log.error("audit event lost auditID=%s stage=%s: %s", event["auditID"], stage, error)


class _ToldStream:
    """A stream whose closing is told, also when nobody ever read of it."""

    def __init__(self, stream: AsyncIterator[bytes], tell: Callable[[], None]) -> None:
        self._stream = stream
        self._tell = tell

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._stream)

    async def aclose(self) -> None:
        try:
            await close_stream(self._stream)
        finally:
            self._tell()


def _impersonated(request: Request) -> Obj:
    try:
        return {"impersonatedUser": render_user(parse_impersonation(request.headers))}
    except StatusError:
        return {}
