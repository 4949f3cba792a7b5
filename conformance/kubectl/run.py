"""Takes the steps of a case with one kubectl, in a namespace of its own."""

from __future__ import annotations

import asyncio
import copy
import os
import re
import shlex
import signal
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.cluster import Cluster, free_port
from conformance.kubectl.cases import Case, Output, Step, fill, judge
from seamark.client.client import Client
from seamark.machinery.gvr import NAMESPACES, SERVICEACCOUNTS
from seamark.machinery.status import StatusError
from seamark.resources.table import build_registry

STEP_SECONDS = 60.0
RETRY_SECONDS = 0.3
POLL_SECONDS = 0.05


class StepError(Exception):
    """Says which step, and what was wrong with it."""


@dataclass
class Runner:
    """``binary`` speaks Kubernetes 1.``minor``; ``home`` keeps its caches. ``words``: further ones that cases use."""

    cluster: Cluster
    client: Client
    binary: Path
    minor: int
    home: Path
    given: dict[str, list[dict[str, Any]]]
    kubectl: Path
    words: dict[str, str]

    async def take(self, case: Case, number: int) -> str:
        """Empty, or why the case failed."""
        word = f"c{number}-{self.minor}"
        with tempfile.TemporaryDirectory(dir=self.home) as directory:
            words = {**self.words, "ns": word, "id": word, "dir": directory, "port": str(free_port())}
            try:
                await self._prepare(case, words)
                for step in case.steps:
                    await self._take_step(step, words)
            except StepError as error:
                return str(error)
            finally:
                with suppress(StatusError):
                    await self.client.delete(NAMESPACES, word)
        return ""

    async def _prepare(self, case: Case, words: dict[str, str]) -> None:
        namespace = words["ns"]
        await self.client.create(NAMESPACES, {"metadata": {"name": namespace}})
        registry = build_registry()
        for name in case.given:
            for given in self.given[name]:
                obj = _filled(given, words)
                group = obj["apiVersion"].rpartition("/")[0]
                row = registry.by_kind(group, obj["kind"])
                assert row is not None, obj["kind"]
                await self._serviceaccount(namespace)
                await self.client.create(row.gvr, obj, namespace=namespace if row.gvr.namespaced else "")

    async def _serviceaccount(self, namespace: str) -> None:
        """Waits for the one that pods need."""
        while True:
            with suppress(StatusError):
                await self.client.get(SERVICEACCOUNTS, "default", namespace=namespace)
                return
            await asyncio.sleep(POLL_SECONDS)

    async def _take_step(self, step: Step, words: dict[str, str]) -> None:
        if not step.is_for(self.minor):
            return
        if step.while_:
            await self._stay(step, words)
            return
        deadline = time.monotonic() + step.within
        while True:
            output = await (asyncio.to_thread(_fetch, fill(step.get, words)) if step.get else self._run(step, words))
            wrong = judge(step, output, words)
            if not wrong:
                return
            if time.monotonic() > deadline:
                raise StepError(f"{fill(step.run or step.kubectl or step.get, words)}: {wrong}"[:600])
            await asyncio.sleep(RETRY_SECONDS)

    async def _run(self, step: Step, words: dict[str, str]) -> Output:
        process = await self._start(step.run or step.kubectl, words, binary=self.binary if step.run else self.kubectl)
        try:
            async with asyncio.timeout(STEP_SECONDS):
                out, err = await process.communicate(step.input(words))
        except TimeoutError:
            return Output(-1, "", f"no end after {STEP_SECONDS:.0f} s")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return Output(process.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace"))

    async def _stay(self, step: Step, words: dict[str, str]) -> None:
        """A command that stays: others are run beside it, then it has to have printed what is expected."""
        process = await self._start(step.while_, words, binary=self.binary)
        printed = bytearray()
        reading = asyncio.create_task(_collect(process, printed))
        try:
            await self._printed(step, process, printed, (step.ready,) if step.ready else (), words)
            for inner in step.do:
                await self._take_step(inner, words)
            await self._printed(step, process, printed, step.has, words)
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGTERM)  # terminate() would reap it where the loop wants to
            await process.wait()
            await reading
        wrong = judge(step, Output(step.code, printed.decode(errors="replace"), ""), words)
        if wrong:
            raise StepError(f"{fill(step.while_, words)}: {wrong}"[:600])

    async def _printed(
        self, step: Step, process: asyncio.subprocess.Process, printed: bytearray, patterns: tuple[str, ...], words: Any
    ) -> None:
        deadline = time.monotonic() + STEP_SECONDS / 2
        for pattern in patterns:
            while not re.search(fill(pattern, words), printed.decode(errors="replace"), re.MULTILINE):
                if time.monotonic() > deadline or (process.returncode is not None and not process.stdout):
                    raise StepError(
                        f"{fill(step.while_, words)}: no {pattern!r} in {printed.decode(errors='replace')!r}"
                    )
                await asyncio.sleep(POLL_SECONDS)

    async def _start(self, command: str, words: dict[str, str], *, binary: Path) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            str(binary),
            f"--kubeconfig={self.cluster.kubeconfig}",
            f"--namespace={words['ns']}",
            *shlex.split(fill(command, words)),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            cwd=words["dir"],
            env={"HOME": str(self.home), "PATH": os.environ["PATH"], "EDITOR": "sed -i s/red/blue/"},
        )


async def _collect(process: asyncio.subprocess.Process, into: bytearray) -> None:
    async def read(stream: asyncio.StreamReader | None) -> None:
        while stream is not None and (data := await stream.read(65536)):
            into.extend(data)

    await asyncio.gather(read(process.stdout), read(process.stderr))


def _fetch(url: str) -> Output:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=10) as answer:
            return Output(0, answer.read().decode(errors="replace"))
    except (OSError, urllib.error.URLError) as error:
        return Output(1, "", str(error))


def _filled(value: Any, words: dict[str, str]) -> Any:
    if isinstance(value, str):
        return fill(value, words)
    if isinstance(value, dict):
        return {key: _filled(item, words) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, words) for item in value]
    return copy.copy(value)
