"""The effects of starting: the sandbox, one container, and the hooks at both ends of its life; with their Events."""

from __future__ import annotations

import signal

from seamark.agent.asker import Asker
from seamark.agent.context import NodeContext
from seamark.agent.ipam import RangeExhaustedError
from seamark.agent.look import Failure
from seamark.agent.podevents import PodEvents
from seamark.agent.podplan import format_seconds, plan_failure
from seamark.agent.podsetup import PodSetup, SetupError
from seamark.agent.podspec import Container, Handler, Pod
from seamark.agent.timers import within
from seamark.linux.runtime import Image, RuntimeFault

FIRST_RETRY = 1.0
MAX_RETRY = 60.0
POST_START_LIMIT = 600.0  # Kubernetes sets none; a hook that hangs must not hide its container for ever
PULL_REASONS = ("ErrImagePull", "ErrImageNeverPull", "InvalidImageName")


class PodStart:
    """Of one pod, for one action."""

    def __init__(self, context: NodeContext, setup: PodSetup, pod: Pod, asker: Asker) -> None:
        self._context = context
        self._setup = setup
        self._pod = pod
        self._asker = asker
        self._events = PodEvents(context.recorder, pod)

    async def create_sandbox(self) -> str:
        """The pod's address."""
        try:
            ip = self._context.config.node_ip
            if not self._pod.spec.host_network:
                ip = self._context.addresses.give(self._pod.uid)
            sandbox, warnings = await self._setup.prepare(self._pod, ip)
            for warning in warnings:
                self._events.warning(warning.reason, warning.message)
            await self._context.runtime.create_sandbox(sandbox)
            await self._fill_volumes(ip)
        except RangeExhaustedError as error:
            raise SetupError("FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}") from error
        except RuntimeFault as fault:
            raise SetupError("FailedCreatePodSandBox", f"Failed to create pod sandbox: {fault.message}") from fault
        except OSError as error:
            raise SetupError("FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}") from error
        return ip

    async def _fill_volumes(self, ip: str) -> None:
        """A sandbox without its volumes would be taken for one that containers can start in."""
        try:
            await self._setup.refresh(self._pod, ip)
        except BaseException:
            await self._context.runtime.remove_sandbox(self._pod.uid)
            raise

    async def start_container(self, container: Container, *, attempt: int, ip: str) -> str:
        """The digest of its image."""
        image = await self._resolve(container)
        configured = await self._setup.configure(self._pod, container, image, attempt=attempt, ip=ip)
        if configured.skipped:
            listed = ", ".join(configured.skipped)
            text = f"Keys [{listed}] were skipped since they are considered invalid environment variable names"
            self._events.warning("InvalidEnvironmentVariableNames", text, container)
        self._events.normal("Created", "Container created", container)
        try:
            await self._context.runtime.start_container(configured.config)
        except RuntimeFault as fault:
            raise SetupError(fault.reason, fault.message) from fault
        self._events.normal("Started", "Container started", container)
        await self._run_post_start(container, ip)
        return image.digest

    async def _resolve(self, container: Container) -> Image:
        """With the Events of a pull, where there is one."""
        began: list[float] = []

        def pulling() -> None:
            began.append(self._context.clock.time())
            self._events.normal("Pulling", f'Pulling image "{container.image}"', container)

        image = await self._setup.resolve(self._pod, container, pulling=pulling)
        if began:
            took = format_seconds(self._context.clock.time() - began[0])
            text = f'Successfully pulled image "{container.image}" in {took} ({took} including waiting). '
            text += f"Image size: {image.size} bytes."
        else:
            text = f'Container image "{container.image}" already present on machine and can be accessed by the pod'
        self._events.normal("Pulled", text, container)
        return image

    def failed(self, before: Failure | None, error: SetupError, container: Container | None) -> Failure:
        """Tells of it; the answer says when to try again."""
        now = self._context.clock.time()
        if container is None:
            self._events.warning(error.reason, error.message)
            same = before is not None and before.reason == error.reason
            delay = min(before.delay * 2, MAX_RETRY) if same and before and before.delay else FIRST_RETRY
            return Failure(error.reason, error.message, now, delay)
        if error.reason in PULL_REASONS:
            cause = error.message.removeprefix(f'failed to pull image "{container.image}": ')
            text = f'Failed to pull image "{container.image}": {cause}'
            self._events.warning("Failed", text, container)
            self._events.warning("Failed", f"Error: {error.reason}", container)
            if error.reason == "ErrImagePull":
                self._events.normal("BackOff", f'Back-off pulling image "{container.image}"', container)
        else:
            self._events.warning("Failed", f"Error: {error.message}", container)
        return plan_failure(before, error.reason, error.message, now)

    async def run_pre_stop(self, container: Container, *, ip: str, timeout: float) -> None:
        """Ends with the hook or with the patience; a hook that failed is told and holds nothing up."""
        hook = container.lifecycle.pre_stop if container.lifecycle else None
        if hook is None:
            return
        text = await self._run_hook(hook, container, ip=ip, timeout=timeout)
        if text:
            self._events.warning("FailedPreStopHook", f"PreStopHook failed: {text}", container)

    async def _run_post_start(self, container: Container, ip: str) -> None:
        """A container whose hook failed is killed, and runs again as its policy says."""
        hook = container.lifecycle.post_start if container.lifecycle else None
        if hook is None:
            return
        text = await self._run_hook(hook, container, ip=ip, timeout=POST_START_LIMIT)
        if text:
            self._events.warning("FailedPostStartHook", f"PostStartHook failed: {text}", container)
            await self._context.runtime.signal_container(self._pod.uid, container.name, signal.SIGKILL)
            raise SetupError("PostStartHookError", text)

    async def _run_hook(self, hook: Handler, container: Container, *, ip: str, timeout: float) -> str:
        """What went wrong, empty when nothing did."""
        try:
            if hook.exec:
                command = tuple(hook.exec.command or ())
                code, output = await self._context.runtime.probe_exec(
                    self._pod.uid, container.name, command, timeout=timeout
                )
                shown = output.decode("utf-8", "replace").strip()
                return "" if code == 0 else f"command {' '.join(command)!r} exited with {code}: {shown}"
            if hook.http_get:
                good, text = await self._asker.http_get(container, hook.http_get, ip, timeout=timeout)
                return "" if good else text
            seconds = hook.sleep.seconds if hook.sleep else 0
            await within(self._context.clock, timeout, self._context.clock.sleep(seconds))
        except TimeoutError:
            return f"did not end within {timeout:g} seconds"
        except (RuntimeFault, OSError) as error:
            return str(error)
        return ""
