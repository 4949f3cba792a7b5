"""``seamark dns``: the cluster DNS server, with CoreDNS's flags (single dash, as Go's flag package reads them).

This module starts in every coredns pod: it imports no more than serving needs.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import gc
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import prometheus_client

import seamark
from seamark.dns.corefile.lexer import CorefileError
from seamark.dns.corefile.parser import parse_corefile
from seamark.dns.host import Host, write_line
from seamark.dns.order import IMPLEMENTED, ORDER
from seamark.dns.server.addresses import interface_addresses, own_addresses
from seamark.dns.server.loading import load_corefile, read_imports
from seamark.dns.server.process import Process
from seamark.linux.clock import SystemClock
from seamark.machinery.clock import Clock

LOCAL = ("169.254.20.10", "10.96.0.10")
STDIN = "stdin"
FORCED = 2
"""Exit status of a server that was not given the time to end gracefully."""
GOODBYE = {
    signal.SIGTERM: "[INFO] SIGTERM: Shutting down servers then terminating",
    signal.SIGINT: "[INFO] SIGINT: Shutting down",
    signal.SIGQUIT: "[INFO] SIGQUIT: Quitting process immediately",
}
HELP = "the cluster DNS server: CoreDNS's Corefile, CoreDNS's flags"
COLLECTED = (50_000, 20, 50)
"""Tables and kept answers form no cycles: by Python's own thresholds every few thousand names cost a look at all."""


def main(argv: list[str]) -> int:
    """Runs until told to end; the exit status."""
    options = _parser().parse_args([_single_dash(word) for word in argv])
    if options.version:
        print("\n".join(_version()))
        return 0
    if options.plugins:
        print("\n".join(sorted(IMPLEMENTED)))
        return 0
    return _run(options)


async def _run_command(command: Sequence[str]) -> str:
    try:
        status = await (await asyncio.create_subprocess_exec(*command)).wait()
    except OSError as error:
        return error.strerror or str(error)
    return f"exit status {status}" if status else ""


def _version() -> tuple[str, str]:
    """As CoreDNS tells its own: name and version, then what it runs on."""
    system = os.uname()
    return (
        f"Seamark-{seamark.__version__}",
        f"{system.sysname.lower()}/{system.machine}, python{'.'.join(map(str, sys.version_info[:3]))}",
    )


class _Told(logging.Handler):
    """What the client of the API server has to say becomes lines of the log."""

    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        plugin = "plugin/kubernetes: " if record.name.startswith("seamark.client") else ""
        self._write(f"[{record.levelname}] {plugin}{self.format(record)}")


def _run(options: argparse.Namespace) -> int:
    port = options.dns_port if options.dns_port is not None else 53
    environment = dict(os.environ)
    as_json = partial(_write_json, SystemClock()) if options.log_format == "json" else None
    log = partial(as_json, fields={}) if as_json is not None else write_line
    logging.getLogger().addHandler(_Told(log))
    host = Host(
        clock=SystemClock(),
        environment=environment,
        log=log,
        log_fields=as_json,
        quiet=options.quiet,
        fatal=partial(_fatal, log),
        port=port,
        run=_run_command,
        processors=len(os.sched_getaffinity(0)),
        as_coredns=options.as_coredns,
        addresses=partial(own_addresses, link_local=options.as_coredns),
        interface=interface_addresses,
    )
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # CoreDNS has none
    host.metrics.build_info.labels(f"seamark-{seamark.__version__}", "", "").set(1)
    _raise_file_limit()
    gc.set_threshold(*COLLECTED)
    path = Path(options.conf) if options.conf else None
    hosts = options.localip if options.node_local else ("",)
    load = partial(load_corefile, path, port=port, environment=environment)
    if options.conf == STDIN:
        load = partial(parse_corefile, sys.stdin.read(), file=STDIN, environment=environment, read_imports=read_imports)
    try:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            status = runner.run(_run_where(options, host, Process(host, load, hosts=hosts)))
        if options.pidfile:
            Path(options.pidfile).unlink(missing_ok=True)
        return status
    except CorefileError as error:
        print(f"seamark dns: {error}", file=sys.stderr)
    except UnicodeDecodeError as error:
        print(f"seamark dns: {options.conf}: not UTF-8: {error}", file=sys.stderr)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"seamark dns: {where}{error.strerror or error}", file=sys.stderr)
    return 1


def _write_json(clock: Clock, line: str, fields: Mapping[str, object]) -> None:
    from seamark.dns.logline import render_json

    write_line(render_json(line, fields, clock.time()))


def _started(options: argparse.Namespace, log: Callable[[str], None]) -> None:
    if options.pidfile:
        Path(options.pidfile).write_text(f"{os.getpid()}\n")
    if not options.quiet:
        for line in _version() if options.log_format == "text" else ["\n".join(_version())]:
            log(line)


def _raise_file_limit() -> None:
    """As many sockets as the system allows (Go does so by itself): each question under way upstream holds one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _run_where(options: argparse.Namespace, host: Host, process: Process) -> int:
    """With ``-node-local``, at addresses that this makes the node's own for as long as it serves."""
    serving = _serve(host, process, partial(_started, options, host.log))
    return await (_serve_on_the_node(options, serving) if options.node_local else serving)


async def _serve_on_the_node(options: argparse.Namespace, serving: Coroutine[None, None, int]) -> int:
    from seamark.linux.links import LinkError
    from seamark.linux.nft import NftError
    from seamark.linux.nodelocal import apply_node_local, remove_node_local

    try:
        await apply_node_local(options.localip)
    except (LinkError, NftError) as error:
        serving.close()
        raise OSError(errno.EPERM, f"-node-local: {error}") from error
    try:
        return await serving
    finally:
        if not options.skipteardown:
            await remove_node_local()


async def _serve(host: Host, process: Process, started: Callable[[], None]) -> int:
    """SIGTERM and SIGINT end gracefully, SIGQUIT and a second SIGINT at once, SIGUSR1 reloads, SIGHUP is ignored."""
    loop = asyncio.get_running_loop()
    told: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1):
        loop.add_signal_handler(number, told.put_nowait, number)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    starting = loop.create_task(process.start())
    while (first := await _told_meanwhile(told, starting)) is signal.SIGUSR1:
        continue  # what is there is being loaded just now
    if first is not None:
        host.log(GOODBYE[first])
        await _give_up(starting)
        return 0
    await starting
    started()
    while (number := await told.get()) is signal.SIGUSR1:
        host.log("[INFO] SIGUSR1: Reloading")
        await process.reload(anew=True)
    host.log(GOODBYE[number])
    if number is signal.SIGQUIT:
        await process.kill()
        return 0
    return await _stop(host, process, told, interrupted=number is signal.SIGINT)


async def _stop(host: Host, process: Process, told: asyncio.Queue[signal.Signals], *, interrupted: bool) -> int:
    """Gracefully, unless told meanwhile that nobody wants to wait for that."""
    stopping = asyncio.get_running_loop().create_task(process.stop())
    while (number := await _told_meanwhile(told, stopping)) is not None:
        forced = number is signal.SIGINT and interrupted
        if forced or number is signal.SIGQUIT:
            host.log("[INFO] SIGINT: Force quit" if forced else GOODBYE[number])
            await _give_up(stopping)
            await process.kill()
            return FORCED if forced else 0
        interrupted = interrupted or number is signal.SIGINT
    await stopping
    return 0


async def _told_meanwhile(told: asyncio.Queue[signal.Signals], work: asyncio.Task[None]) -> signal.Signals | None:
    """The signal that comes before the work is done; None if none does."""
    asking = asyncio.ensure_future(told.get())
    await asyncio.wait((work, asking), return_when=asyncio.FIRST_COMPLETED)
    if asking.done():
        return asking.result()
    asking.cancel()
    return None


async def _give_up(work: asyncio.Task[None]) -> None:
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


def _fatal(log: Callable[[str], None], message: str) -> None:
    log(message)
    os._exit(1)


def _single_dash(word: str) -> str:
    """Go reads ``--flag`` as ``-flag``."""
    return word[1:] if word.startswith("--") and len(word) > 2 else word


def _parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="seamark dns", description=HELP, allow_abbrev=False)
    found.add_argument("-conf", metavar="FILE", help="Corefile to load (default: ./Corefile), or stdin")
    found.add_argument("-dns.port", "-p", dest="dns_port", type=_port, metavar="PORT", help="port, 53 by default")
    found.add_argument("-pidfile", metavar="FILE", help="where to write the process id")
    found.add_argument("-plugins", action="store_true", help="list the plugins and end")
    found.add_argument("-quiet", action="store_true", help="say nothing of the start")
    found.add_argument("-log-format", choices=("text", "json"), default="text", help="of log lines (text)")
    found.add_argument(
        "-as-coredns", action="store_true", help="answer as CoreDNS also where Seamark does otherwise on purpose"
    )
    node = found.add_argument_group("on each node (NodeLocal DNSCache)")
    node.add_argument("-node-local", action="store_true", help="answer at -localip, without address translation (root)")
    node.add_argument(
        "-localip",
        type=_addresses,
        metavar="ADDRESS,…",
        default=LOCAL,
        help=f"a local address and that of the cluster DNS ({','.join(LOCAL)})",
    )
    node.add_argument("-skipteardown", action="store_true", help="leave routes and rules when it ends")
    found.add_argument("-version", action="store_true", help="show the version and end")
    found.epilog = f"Plugins see a query in CoreDNS's order: {' '.join(n for n in ORDER if n in IMPLEMENTED)}."
    return found


def _addresses(text: str) -> tuple[str, ...]:
    try:
        return tuple(str(ip_address(word)) for word in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port")
    return int(text)
