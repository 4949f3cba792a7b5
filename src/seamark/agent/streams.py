"""Logs and exec of the pods of one node (machinery.streams.NodeStreams), with kubelet's words for what cannot be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

from seamark.agent.logs import parse_options, read_log
from seamark.agent.poddir import PodDir
from seamark.agent.podspec import ContainerStatus, Pod
from seamark.linux.runtime import Runtime, RuntimeFault
from seamark.machinery.clock import Clock
from seamark.machinery.status import StatusError, bad_request, internal, not_found
from seamark.machinery.streams import ExecIO, ExecRequest, LogRequest
from seamark.model.meta import ObjectKey

FindPod = Callable[[ObjectKey], Pod | None]


class PodStreams:
    def __init__(self, state_dir: Path, *, runtime: Runtime, clock: Clock, find: FindPod) -> None:
        self._state_dir = state_dir
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
        state = await self._runtime.state(pod.uid)
        running = [c.name for c in state.containers if c.status == "running"] if state else []
        if container not in running:
            raise StatusError(404, "NotFound", f'container not found ("{container}")')
        try:
            return await self._runtime.exec(
                pod.uid, container, request.command, io=io, tty=request.tty, stdin=request.stdin
            )
        except RuntimeFault as fault:
            raise internal(fault.message) from fault

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
