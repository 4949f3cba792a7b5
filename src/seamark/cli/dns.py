"""``seamark dns``: the cluster DNS server, with CoreDNS's flags (single dash, as Go's flag package reads them).

This module starts in every coredns pod: it imports no more than serving needs.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import prometheus_client

import seamark
from seamark.dns.corefile.lexer import CorefileError
from seamark.dns.host import Host, write_line
from seamark.dns.order import IMPLEMENTED, ORDER
from seamark.dns.server.addresses import interface_addresses, own_addresses
from seamark.dns.server.loading import load_corefile
from seamark.dns.server.process import Process
from seamark.linux.clock import SystemClock

LOCAL = ("169.254.20.10", "10.96.0.10")
HELP = "the cluster DNS server: CoreDNS's Corefile, CoreDNS's flags"


def main(argv: list[str]) -> int:
    """Runs until told to end; the exit status."""
    options = _parser().parse_args([_single_dash(word) for word in argv])
    if options.version:
        print(f"Seamark-{seamark.__version__}")
        return 0
    if options.plugins:
        print("Server types:\n  dns\n\nOther plugins:")
        print("\n".join(f"  dns.{name}" for name in sorted(IMPLEMENTED)))
        return 0
    return _run(options)


async def _run_command(command: Sequence[str]) -> str:
    try:
        status = await (await asyncio.create_subprocess_exec(*command)).wait()
    except OSError as error:
        return error.strerror or str(error)
    return f"exit status {status}" if status else ""


def _run(options: argparse.Namespace) -> int:
    port = options.dns_port if options.dns_port is not None else 53
    environment = dict(os.environ)
    host = Host(
        clock=SystemClock(),
        environment=environment,
        log=(lambda line: None) if options.quiet else write_line,
        fatal=_fatal,
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
    path = Path(options.conf) if options.conf else None
    hosts = options.localip if options.node_local else ("",)
    load = partial(load_corefile, path, port=port, environment=environment)
    try:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run_where(options, Process(host, load, hosts=hosts)))
    except CorefileError as error:
        print(f"seamark dns: {error}", file=sys.stderr)
    except UnicodeDecodeError as error:
        print(f"seamark dns: {options.conf}: not UTF-8: {error}", file=sys.stderr)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"seamark dns: {where}{error.strerror or error}", file=sys.stderr)
    return 1


def _started(options: argparse.Namespace) -> None:
    if options.pidfile:
        Path(options.pidfile).write_text(f"{os.getpid()}\n")
    if not options.quiet:
        write_line(f"Seamark-{seamark.__version__}")


def _raise_file_limit() -> None:
    """As many sockets as the system allows (Go does so by itself): each question under way upstream holds one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _run_where(options: argparse.Namespace, process: Process) -> int:
    """With ``-node-local``, at addresses that this makes the node's own for as long as it serves."""
    if not options.node_local:
        return await _serve(process, partial(_started, options))
    from seamark.linux.links import LinkError
    from seamark.linux.nft import NftError
    from seamark.linux.nodelocal import apply_node_local, remove_node_local

    try:
        await apply_node_local(options.localip)
    except (LinkError, NftError) as error:
        raise OSError(errno.EPERM, f"-node-local: {error}") from error
    try:
        return await _serve(process, partial(_started, options))
    finally:
        if not options.skipteardown:
            await remove_node_local()


async def _serve(process: Process, started: Callable[[], None]) -> int:
    """SIGTERM and SIGINT end gracefully, SIGQUIT at once, SIGUSR1 reloads, SIGHUP is ignored."""
    loop = asyncio.get_running_loop()
    told: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1):
        loop.add_signal_handler(number, told.put_nowait, number)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    await process.start()
    started()
    while (number := await told.get()) is signal.SIGUSR1:
        await process.reload()
    if number is signal.SIGQUIT:
        await process.kill()
        return 0
    write_line(f"[INFO] {number.name}: Shutting down servers then terminating")
    await process.stop()
    return 0


def _fatal(message: str) -> None:
    write_line(message)
    os._exit(1)


def _single_dash(word: str) -> str:
    """Go reads ``--flag`` as ``-flag``."""
    return word[1:] if word.startswith("--") and len(word) > 2 else word


def _parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="seamark dns", description=HELP, allow_abbrev=False)
    found.add_argument("-conf", metavar="FILE", help="Corefile to load (default: ./Corefile)")
    found.add_argument("-dns.port", "-p", dest="dns_port", type=_port, metavar="PORT", help="port, 53 by default")
    found.add_argument("-pidfile", metavar="FILE", help="where to write the process id")
    found.add_argument("-plugins", action="store_true", help="list the plugins and end")
    found.add_argument("-quiet", action="store_true", help="write no log")
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
