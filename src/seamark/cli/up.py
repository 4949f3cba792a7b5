"""``seamark up``: brings a cluster up, in the foreground or as the child of ``--detach`` (background.py)."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import uvloop

from seamark.cli.background import ERROR, READY, READY_FD
from seamark.cli.cluster import Cluster, first_of
from seamark.cli.datadir import DataDir
from seamark.cli.errors import UserError, medium_error
from seamark.cli.preflight import bind_api_socket, check_machine, extend_path, free_port
from seamark.cli.settings import Given, Settings, merge_settings
from seamark.cli.stages import Stages
from seamark.store.base import StoreError


@dataclass(frozen=True, slots=True)
class UpOptions:
    data: DataDir
    kubeconfig: Path
    given: Given


def run_up(options: UpOptions) -> None:
    report = os.environ.pop(READY_FD, "")
    out = os.fdopen(int(report), "w") if report else sys.stdout
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(options, out, is_child=bool(report)))
    except (UserError, StoreError, OSError) as error:
        told = medium_error(error) if isinstance(error, OSError) else error
        if told is None:
            raise
        if report and not out.closed:
            out.write(f"{ERROR} {told}\n")
            out.close()
        raise UserError(str(told)) from None


async def _serve(options: UpOptions, out: TextIO, *, is_child: bool) -> None:
    stages = Stages(out)
    extend_path()
    data = options.data
    data.make()
    kept = data.read_settings()
    settings = merge_settings(options.given, kept, free_port=free_port())
    check_machine(nodes=settings.nodes, oci_runtime=settings.oci_runtime)
    data.take_lock()
    listener = bind_api_socket(settings.port)
    data.write_settings(settings)
    stopping = _stop_signals()
    cluster = Cluster(data, settings, listener)
    end_pods = True
    try:
        await first_of(
            asyncio.create_task(_wait(stopping)),
            asyncio.create_task(cluster.start(stages, kubeconfig=options.kubeconfig)),
        )
        if not stopping.is_set():
            _say_ready(stages, options.kubeconfig, settings, cluster)
            if is_child:
                out.write(READY + "\n")
                out.close()
            end_pods = False  # a fault of ours must not cost anyone a pod
            await first_of(asyncio.create_task(_wait(stopping)), asyncio.create_task(cluster.failure()))
            end_pods = True
    finally:
        if end_pods and not is_child:
            print("\nstopping: pods end, data stays")
        await cluster.stop(end_pods=end_pods)


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


def _stop_signals() -> asyncio.Event:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    return stopping


def _say_ready(stages: Stages, kubeconfig: Path, settings: Settings, cluster: Cluster) -> None:
    stages.line()
    stages.line(f"cluster ready in {stages.total():.2f} s: https://127.0.0.1:{settings.port}, {cluster.summary()}")
    stages.line()
    stages.line(f"  export KUBECONFIG={kubeconfig}")
    stages.line("  kubectl get nodes")
