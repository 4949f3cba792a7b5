"""``seamark controllers`` and ``seamark scheduler``: Seamark's, at the API server of any cluster, one instance each.

They are guests: what an API server keeps in order by itself is left to it. Neither elects a leader, so what they do in
place of has to be off: a second one would do everything a second time.
"""

from __future__ import annotations

import asyncio
import logging
import random
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seamark.cli.errors import UserError

if TYPE_CHECKING:
    from seamark.client.client import Client

KubeconfigOption = Annotated[
    Path | None, typer.Option(help="Where the API server is and who we are; without, the pod's service account.")
]
ContextOption = Annotated[str | None, typer.Option(help="The context of the kubeconfig (its current one).")]
CONTROLLERS = "As kube-controller-manager's: *,-job-controller (*)."

ROOT_CA = "root-ca-certificate-publisher-controller"

Work = Callable[["Client"], Awaitable[None]]


def controllers(
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    controllers: Annotated[str, typer.Option(metavar="LIST", help=CONTROLLERS)] = "*",
    root_ca_file: Annotated[Path | None, typer.Option(help="For kube-root-ca.crt and service account secrets.")] = None,
    cluster_signing_cert_file: Annotated[Path | None, typer.Option(help="Signs certificate requests.")] = None,
    cluster_signing_key_file: Annotated[Path | None, typer.Option(help="Its key.")] = None,
) -> None:
    """Run Seamark's controllers in place of kube-controller-manager's, in any cluster.

    \b
    Examples:
      seamark controllers --kubeconfig admin.conf --root-ca-file ca.crt
      seamark controllers --kubeconfig admin.conf --controllers endpoints-controller,endpointslice-controller
    """
    from seamark.controllers.manager import ControllerSettings, run_controllers
    from seamark.controllers.selection import SelectionError, parse_controllers
    from seamark.linux.clock import SystemClock

    if (cluster_signing_cert_file is None) != (cluster_signing_key_file is None):
        raise UserError("controllers: --cluster-signing-cert-file and --cluster-signing-key-file go together")
    try:
        enabled = parse_controllers(controllers)
    except SelectionError as error:
        raise UserError(f"controllers: --controllers: {error}") from error
    if root_ca_file is None:  # there is nothing to publish
        if ROOT_CA in controllers.split(","):
            raise UserError(f"controllers: {ROOT_CA} needs --root-ca-file")
        enabled -= {ROOT_CA}
    authority = root_ca_file or cluster_signing_cert_file
    settings = ControllerSettings(
        ca_pem=authority.read_text() if authority else "",
        ca_key_pem=cluster_signing_key_file.read_bytes() if cluster_signing_key_file else b"",
        enabled=enabled,
        is_guest=True,
    )
    rng = random.Random()
    _run(
        "controllers",
        kubeconfig,
        context,
        lambda c: run_controllers(c, clock=SystemClock(), settings=settings, rng=rng),
    )


def scheduler(kubeconfig: KubeconfigOption = None, context: ContextOption = None) -> None:
    """Run Seamark's scheduler in place of kube-scheduler, in any cluster.

    \b
    Examples:
      seamark scheduler --kubeconfig scheduler.conf
    """
    from seamark.linux.clock import SystemClock
    from seamark.scheduler.controller import run_scheduler

    _run("scheduler", kubeconfig, context, lambda client: run_scheduler(client, clock=SystemClock()))


def _run(name: str, kubeconfig: Path | None, context: str | None, work: Work) -> None:
    import uvloop

    import seamark
    from seamark.client.client import Client
    from seamark.client.kubeconfig import KubeconfigError, in_cluster, load_kubeconfig

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        access = load_kubeconfig(kubeconfig, context) if kubeconfig else in_cluster()
        client = Client(access.transport(), agent=f"seamark/{seamark.__version__} {name}")
    except (KubeconfigError, ValueError) as error:
        raise UserError(f"{name}: {error}") from error
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_told(name, client, work))


async def _until_told(name: str, client: Client, work: Work) -> None:
    """Until a signal comes. Only the very first question may fail for good; later ones are asked again."""
    from seamark.client.base import TransportError
    from seamark.machinery.status import StatusError

    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    try:
        version = await client.get_path("/version")
        logging.getLogger("seamark").info("%s: at an API server %s", name, version.get("gitVersion"))
        tasks = {asyncio.ensure_future(work(client)), asyncio.create_task(end.wait())}
        done, left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for task in done:
            task.result()
    except (StatusError, TransportError) as error:
        raise UserError(f"{name}: {error}") from error
    finally:
        await client.close()
