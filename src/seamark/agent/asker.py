"""One check of one container, by exec, HTTP, TCP or gRPC, and what came of it in kubelet's words.

A check never raises: it is good or not, with a text that says why not; beside a good one a text is a warning.
"""

from __future__ import annotations

import os
from urllib.parse import urlsplit

import msgspec

from seamark.agent.connect import Connect, connected
from seamark.agent.podspec import Container, GRPCAction, HTTPGetAction, Probe, TCPSocketAction
from seamark.agent.probes import parse_head, plan_redirect, render_http_get, select_port
from seamark.agent.timers import within
from seamark.linux.runtime import Runtime, RuntimeFault
from seamark.machinery.clock import Clock

Finding = tuple[bool, str]
MAX_TEXT = 10 * 1024
MAX_REDIRECTS = 10
MAX_HEADERS = 200


class Asker:
    def __init__(self, uid: str, *, runtime: Runtime, connect: Connect, clock: Clock) -> None:
        self._uid = uid
        self._runtime = runtime
        self._connect = connect
        self._clock = clock

    async def ask(self, container: Container, probe: Probe, ip: str) -> Finding:
        if probe.exec:
            return await self._exec(container, tuple(probe.exec.command or ()), probe.timeout_seconds)
        if probe.http_get:
            return await self.http_get(container, probe.http_get, ip, timeout=probe.timeout_seconds)
        if probe.tcp_socket:
            return await self._tcp(container, probe.tcp_socket, ip, timeout=probe.timeout_seconds)
        if probe.grpc:
            return await self._grpc(probe.grpc, ip, timeout=probe.timeout_seconds)
        return False, "the probe names nothing to ask"

    async def http_get(self, container: Container, action: HTTPGetAction, ip: str, *, timeout: float) -> Finding:
        port = select_port(container, action.port)
        if port is None:
            return False, f"couldn't find port: {action.port}"
        host = action.host or ip
        url = f"{action.scheme.lower()}://{_bracketed(host)}:{port}{action.path}"
        try:
            return await within(self._clock, timeout, self._follow(action, url))
        except TimeoutError:
            return False, f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
        except (OSError, ValueError, EOFError) as error:
            return False, f'Get "{url}": {_dial(host, port, error)}'

    async def _follow(self, action: HTTPGetAction, url: str) -> Finding:
        """Redirects on the same host, as a browser would; one that leads elsewhere is as far as a probe goes."""
        first = url
        for _ in range(MAX_REDIRECTS):
            code, headers, body = await self._get(action, url)
            if not 300 <= code < 400 or "location" not in headers:
                return 200 <= code < 400, "" if 200 <= code < 400 else f"HTTP probe failed with statuscode: {code}"
            further = plan_redirect(url, headers["location"])
            if not further:
                return True, f"Probe terminated redirects, Response body: {body}"
            url = further
        return False, f'Get "{first}": stopped after {MAX_REDIRECTS} redirects'

    async def _get(self, action: HTTPGetAction, url: str) -> tuple[int, dict[str, str], str]:
        """Status, headers, and of a redirect the body."""
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        host, port = parts.hostname or "", parts.port or (443 if tls else 80)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        request = render_http_get(msgspec.structs.replace(action, path=path), host, port)
        async with connected(self._connect, host, port, tls=tls) as (reader, writer):
            writer.write(request)
            lines = [await reader.readline()]
            while lines[-1].strip() and len(lines) < MAX_HEADERS:
                lines.append(await reader.readline())
            code, headers = parse_head(lines)
            length = headers.get("content-length", "")
            wanted = min(int(length), MAX_TEXT) if 300 <= code < 400 and length.isdecimal() else 0
            body = await reader.readexactly(wanted) if wanted else b""
        return code, headers, body.decode("utf-8", "replace")

    async def _tcp(self, container: Container, action: TCPSocketAction, ip: str, *, timeout: float) -> Finding:
        port = select_port(container, action.port)
        if port is None:
            return False, f"couldn't find port: {action.port}"
        host = action.host or ip
        try:
            await within(self._clock, timeout, self._touch(host, port))
        except TimeoutError:
            return False, f"dial tcp {_bracketed(host)}:{port}: i/o timeout"
        except OSError as error:
            return False, _dial(host, port, error)
        return True, ""

    async def _touch(self, host: str, port: int) -> None:
        async with connected(self._connect, host, port):
            pass

    async def _grpc(self, action: GRPCAction, ip: str, *, timeout: float) -> Finding:
        address = f"{_bracketed(ip)}:{action.port}"
        try:
            status = await within(self._clock, timeout, self._check_health(action, ip, address))
        except TimeoutError:
            return False, f"timeout: health rpc did not complete within {timeout:g}s"
        except ValueError as error:
            return False, f"error: health rpc probe failed: {error}"
        except OSError as error:
            return False, f'error: failed to connect service at "{address}": {_dial(ip, action.port, error)}'
        return status == "SERVING", "" if status == "SERVING" else f'service unhealthy (responded with "{status}")'

    async def _check_health(self, action: GRPCAction, ip: str, address: str) -> str:
        from seamark.agent.grpchealth import HealthCall  # h2 costs memory, and few probes speak gRPC

        call = HealthCall(address, action.service)
        async with connected(self._connect, ip, action.port) as (reader, writer):
            status = ""
            while not status:
                writer.write(call.pending())
                status = call.receive(await reader.read(MAX_TEXT))
        return status

    async def _exec(self, container: Container, command: tuple[str, ...], timeout: float) -> Finding:
        try:
            code, output = await self._runtime.probe_exec(self._uid, container.name, command, timeout=timeout)
        except TimeoutError:
            return False, f'command timed out: "{" ".join(command)}" timed out after {int(timeout)}s'
        except RuntimeFault as fault:
            return False, fault.message
        except OSError as error:
            return False, str(error)
        return code == 0, "" if code == 0 else output[:MAX_TEXT].decode("utf-8", "replace")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _dial(host: str, port: int, error: Exception) -> str:
    text = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
    return f"dial tcp {_bracketed(host)}:{port}: connect: {text.lower()}"
