"""Logs, exec, attach and connections of one node's pods (machinery.streams.NodeStreams), with kubelet's words."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from seamark.agent.connect import Connect, SocketStream
from seamark.agent.logs import parse_options, read_log
from seamark.agent.poddir import PodDir
from seamark.agent.podspec import ContainerStatus, Pod
from seamark.linux.runtime import Runtime, RuntimeFault
from seamark.machinery.clock import Clock
from seamark.machinery.status import StatusError, bad_request, internal, not_found
from seamark.machinery.streams import AttachRequest, ByteStream, ExecIO, ExecRequest, LogRequest
from seamark.model.meta import ObjectKey

FindPod = Callable[[ObjectKey], Pod | None]


class PodStreams:
    def __init__(self, state_dir: Path, *, runtime: Runtime, clock: Clock, connect: Connect, find: FindPod) -> None:
        self._state_dir = state_dir
        self._connect = connect
        self._runtime = runtime
        self._clock = clock
        self._find = find

    def logs(self, request: LogRequest) -> AsyncIterator[bytes]:
        """Raises before the first byte, not in the middle of the answer."""
        pod = self._pod(request.namespace, request.pod)
        container = self._container(pod, request.container)
        try:
            options = parse_options(request, self._clock.time())
        except ValueError as error:
            raise bad_request(f"sinceTime: {error}") from error
        attempt = select_log_attempt(pod, container, previous=request.previous)
        path = PodDir.of(self._state_dir, pod.uid).log(container, attempt)
        if not path.exists():
            raise bad_request(f'container "{container}" in pod "{pod.metadata.name}" is not available')
        key, uid = pod.key, pod.uid

        def ended() -> bool:
            """Whether that attempt has ended or its pod is gone, by what the API was told."""
            now = self._find(key)
            status = now.written(container) if now is not None and now.uid == uid else None
            return status is None or status.restart_count != attempt or status.state.running is None

        return read_log(path, options, clock=self._clock, ended=ended)

    async def exec(self, request: ExecRequest, io: ExecIO) -> int:
        pod = self._pod(request.namespace, request.pod)
        container = self._container(pod, request.container)
        await self._check_running(pod, container)
        try:
            return await self._runtime.exec(
                pod.uid, container, request.command, io=io, tty=request.tty, stdin=request.stdin
            )
        except RuntimeFault as fault:
            raise internal(fault.message) from fault

    async def attach(self, request: AttachRequest, io: ExecIO) -> None:
        pod = self._pod(request.namespace, request.pod)
        container = self._container(pod, request.container)
        await self._check_running(pod, container)
        spec = pod.container(container)
        assert spec is not None
        stdin = request.stdin and spec.stdin
        try:
            await self._runtime.attach(pod.uid, container, io=io, stdin=stdin, once=spec.stdin_once)
        except RuntimeFault as fault:
            raise internal(fault.message) from fault

    async def port_forward(self, namespace: str, name: str, port: int) -> ByteStream:
        pod = self._pod(namespace, name)
        where = f"error forwarding port {port} to pod {name}_{namespace}, uid {pod.uid}"
        try:
            sock = await self._runtime.connect(pod.uid, port)
        except RuntimeFault as fault:
            raise internal(f"{where}: {fault.message}") from fault
        except OSError as error:
            why = os.strerror(error.errno).lower() if error.errno else str(error)
            dial = f"failed to connect to localhost:{port} inside the pod: dial tcp4 127.0.0.1:{port}: connect: {why}"
            raise internal(f"{where}: {dial}") from error
        return SocketStream(*await asyncio.open_connection(sock=sock))

    async def dial(self, host: str, port: int, *, tls: bool) -> ByteStream:
        return SocketStream(*await self._connect(host, port, tls=tls))

    async def _check_running(self, pod: Pod, container: str) -> None:
        state = await self._runtime.state(pod.uid)
        if container not in [c.name for c in (state.containers if state else ()) if c.status == "running"]:
            raise StatusError(404, "NotFound", f'container not found ("{container}")')

    def _pod(self, namespace: str, name: str) -> Pod:
        pod = self._find(ObjectKey(namespace, name))
        if pod is None:
            raise not_found("pods", name)
        return pod

    @staticmethod
    def _container(pod: Pod, name: str) -> str:
        if not name and len(pod.spec.containers) == 1:
            return pod.spec.containers[0].name
        if not name:
            listed = " ".join(c.name for c in (*pod.spec.init_containers, *pod.spec.containers))
            text = f"a container name must be specified for pod {pod.metadata.name}, choose one of: [{listed}]"
            raise bad_request(text)
        if pod.container(name) is None:
            raise bad_request(f"container {name} is not valid for pod {pod.metadata.name}")
        return name


def select_log_attempt(pod: Pod, container: str, *, previous: bool) -> int:
    """Which attempt's log is meant. Raises StatusError where there is none yet."""
    status = pod.written(container) or ContainerStatus()
    name = pod.metadata.name
    if previous:
        if status.last_state.terminated is None:
            raise bad_request(f'previous terminated container "{container}" in pod "{name}" not found')
        return status.restart_count if status.state.waiting else status.restart_count - 1
    waiting = status.state.waiting
    if status.state.running or status.state.terminated or status.last_state.terminated:
        return status.restart_count
    reason = waiting.reason if waiting else "ContainerCreating"
    raise bad_request(f'container "{container}" in pod "{name}" is waiting to start: {reason}')
