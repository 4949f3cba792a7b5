"""The API application: a Request in, a Response out, no sockets.

``Api.handle`` is a ``machinery.wire.Handler``: the HTTP server calls it for what comes over TLS, the in-process
transport for Seamark's own parts. The identity is already set; a request without one is system:anonymous, who may
ask for health and version. Whatever fails becomes a Status; an exception nobody foresaw is logged and becomes a 500.
"""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections.abc import Awaitable, Callable, Mapping

from seamark.api.addresses import adopt_services, write_default_range
from seamark.api.audit.auditor import Audit, Auditor
from seamark.api.authz.attributes import is_resource_path, path_attributes, target_attributes, unserved_attributes
from seamark.api.authz.authorizer import Authorizer
from seamark.api.authz.bootstrap import write_defaults
from seamark.api.authz.impersonation import impersonate, is_impersonation
from seamark.api.config import ApiConfig
from seamark.api.core import Call, Core, NodeLookup, no_nodes
from seamark.api.customs import CustomKinds
from seamark.api.discovery import Discovery
from seamark.api.documents import openapi
from seamark.api.health import health
from seamark.api.inflight import is_long_running
from seamark.api.metrics import metrics
from seamark.api.openid import openid
from seamark.api.options import parse_timeout
from seamark.api.ranges import AddressFollower
from seamark.api.respond import limit_warnings, representation, respond_status, respond_text
from seamark.api.routing import UnknownPathError, method_not_allowed, parse_target, parse_verb, unknown_path
from seamark.api.subresources.exec import Switch
from seamark.api.subresources.table import ANSWERED_AS_THEY_ARE, QUESTIONS, UPGRADES, find_subresource
from seamark.api.verbs.create import create
from seamark.api.verbs.delete import delete
from seamark.api.verbs.deletecollection import deletecollection
from seamark.api.verbs.get import get
from seamark.api.verbs.list import list_collection
from seamark.api.verbs.patch import patch
from seamark.api.verbs.update import update
from seamark.api.verbs.watch import open_watch, watch
from seamark.api.websocket import wants_websocket
from seamark.machinery.clock import Clock
from seamark.machinery.gvr import CUSTOMRESOURCEDEFINITIONS
from seamark.machinery.status import StatusError, internal
from seamark.machinery.wire import ANONYMOUS, UNAUTHENTICATED, Identity, Request, Response
from seamark.resources.core.allocators import ServicePools
from seamark.resources.registry import Registry
from seamark.store.base import Store, StoreWriteError

_log = logging.getLogger(__name__)

_NOBODY = Identity(ANONYMOUS, (UNAUTHENTICATED,))

Verb = Callable[[Core, Call], Awaitable[Response]]

VERBS: Mapping[str, Verb] = {
    "get": get,
    "list": list_collection,
    "watch": watch,
    "create": create,
    "update": update,
    "patch": patch,
    "delete": delete,
    "deletecollection": deletecollection,
}


class Api:
    """``await start()`` before the first request: it takes the addresses that stored Services hold."""

    def __init__(
        self,
        *,
        store: Store,
        registry: Registry,
        clock: Clock,
        config: ApiConfig | None = None,
        nodes: NodeLookup = no_nodes,
        audit: Audit | None = None,
    ) -> None:
        config = config or ApiConfig()
        choose = random.SystemRandom().randrange
        pools = ServicePools(
            config.service_cidrs, config.node_port_range, choose=choose, held_back=config.held_back_ips
        )
        authorizer = Authorizer(store, registry)
        addresses = AddressFollower(store, pools)
        customs = CustomKinds(store, registry)
        self.core = Core(store, registry, clock, config, pools, addresses, authorizer, customs, nodes)
        self._discovery = Discovery(registry, config)
        self._late: set[asyncio.Future[Response]] = set()
        self._auditor = Auditor(audit, clock, authorizer) if audit is not None else None

    async def start(self) -> list[str]:
        """Writes the default objects. Answers what is wrong with what stored Services hold (taken twice, foreign)."""
        await write_defaults(self.core)
        await write_default_range(self.core)
        await self.core.authorizer.start()
        await self.core.customs.load()
        await self.core.addresses.load_ranges()
        problems = await adopt_services(self.core)
        await self.core.addresses.load()
        return problems

    async def handle(self, request: Request) -> Response:
        """A ``machinery.wire.Handler``; never raises."""
        if self._auditor is not None:
            return await self._auditor.handle(request, request.identity or _NOBODY, self._respond)
        return await self._respond(request)

    async def connect(self, request: Request) -> Switch:
        """The same for a request with an upgrade: what it becomes, or the answer that refuses it."""
        if self._auditor is not None:
            return await self._auditor.handle(request, request.identity or _NOBODY, self._switch)
        return await self._switch(request)

    async def refuse(self, request: Request, error: StatusError) -> Response:
        """The answer to one whose credentials are no good, which is told too."""

        async def refused(_: Request) -> Response:
            return respond_status(error, request.headers.get("accept", ""))

        if self._auditor is not None:
            return await self._auditor.handle(request, None, refused)
        return await refused(request)

    async def _respond(self, request: Request) -> Response:
        try:
            response = await self._dispatch(request)
        except Exception as error:
            response = _respond_failure(request, error)
        response.headers.setdefault("audit-id", request.headers.get("audit-id", "")[:64] or str(uuid.uuid4()))
        return response

    async def _switch(self, request: Request) -> Switch:
        try:
            found = await self._upgrade(request)
            if found is not None:
                return found
        except Exception as error:
            return _respond_failure(request, error)
        return await self._respond(request)

    async def _upgrade(self, request: Request) -> Switch | None:
        if not is_resource_path(request.path):
            return None
        who = await self._who(request)
        call = await self._call(request, who)
        if not call.target.subresource and wants_websocket(request) and self._verb(call) is watch:
            return await open_watch(self.core, call)
        found = UPGRADES.get(call.target.subresource)
        if found is None or request.method not in ("GET", "POST"):
            return None
        if call.target.subresource not in ("log", "proxy"):
            # A WebSocket can only be opened by GET; what comes through it is as good as a POST's.
            await self.core.authorizer.check(who, target_attributes(call.target, request)._replace(verb="create"))
        return await found(self.core, call)

    async def _dispatch(self, request: Request) -> Response:
        who = await self._who(request)
        await self.core.customs.follow()
        if not is_resource_path(request.path):
            await self.core.authorizer.check(who, path_attributes(request))
            return await self._document(request)
        call = await self._call(request, who)
        try:
            response = await self._answer(call)
        except Exception as error:  # what was warned of is told with the failure too
            response = _respond_failure(request, error)
        if call.target.gvr == CUSTOMRESOURCEDEFINITIONS:
            await self.core.customs.follow()
        response.warnings = limit_warnings((call.target.row.deprecated, *call.warnings, *response.warnings))
        return response

    async def _answer(self, call: Call) -> Response:
        """Raises 504 when it takes longer than the client gave it; what is being written is written all the same."""
        request, verb = call.request, self._verb(call)
        seconds = parse_timeout(request) if request.query and not is_long_running(request) else 0.0
        if not seconds:
            return await verb(self.core, call)
        work = asyncio.ensure_future(verb(self.core, call))
        done, _ = await asyncio.wait({work}, timeout=seconds)
        if done:
            return work.result()
        self._late.add(work)
        work.add_done_callback(self._forget)
        why = "Timeout: request did not complete within requested timeout - context deadline exceeded"
        raise StatusError(504, "Timeout", why, details={})

    def _forget(self, work: asyncio.Future[Response]) -> None:
        self._late.discard(work)
        if not work.cancelled() and (error := work.exception()) is not None and not isinstance(error, StatusError):
            _log.error("request failed after its deadline", exc_info=error)

    async def _document(self, request: Request) -> Response:
        """What is no resource: health and version, discovery, OpenAPI, metrics."""
        found = await health(self.core, request) or self._discovery.respond(request)
        found = found or openid(self.core, request) or await openapi(self.core.registry, request)
        found = found or await metrics(self.core, request)
        if found is None:
            raise unknown_path(self.core.registry, request.path)
        return found

    async def _who(self, request: Request) -> Identity:
        """Who asks, or whom they act as. Raises 403 where they may not act so."""
        who = request.identity or _NOBODY
        if is_impersonation(request.headers):
            return await impersonate(self.core.authorizer, who, request.headers)
        return who

    async def _call(self, request: Request, who: Identity) -> Call:
        """Raises 403 before it is told whether there is such a resource."""
        try:
            target = parse_target(self.core.registry, request.path)
        except (UnknownPathError, StatusError):
            await self.core.authorizer.check(who, unserved_attributes(request))
            raise
        await self.core.authorizer.check(who, target_attributes(target, request))
        return Call(request, target, who)

    def _verb(self, call: Call) -> Verb:
        """Raises 405, and 406 before anything is done."""
        target, method = call.target, call.request.method
        if target.subresource:
            found = find_subresource(target.subresource, method)
            if found is None:
                raise method_not_allowed()
            if target.subresource not in ANSWERED_AS_THEY_ARE:
                representation(call)
            return found
        verb = parse_verb(target, method, watch=call.request.flag("watch"))
        representation(call, stream=verb == "watch")
        return VERBS[verb] if target.row.stored else QUESTIONS[target.gvr.resource]


def _respond_failure(request: Request, error: Exception) -> Response:
    """Every failure as a Status; what nobody foresaw is logged."""
    if isinstance(error, StatusError):
        return respond_status(error, request.headers.get("accept", ""))
    if isinstance(error, UnknownPathError):
        return respond_text("404 page not found\n", status=404)
    if isinstance(error, StoreWriteError):
        _log.error("write refused path=%s reason=%s", request.path, error)
        return respond_status(internal(f"the store refuses writes: {error}"))
    _log.error("request failed method=%s path=%s", request.method, request.path, exc_info=error)
    response = respond_status(internal(f"{type(error).__name__}: {error}"))
    response.fault = True
    return response
