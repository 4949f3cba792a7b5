"""``make conformance-dns``: Seamark's DNS beside CoreDNS, over Seamark's API server or (``--api``) a kube-apiserver.

make conformance-dns or .venv/bin/python -m conformance.dns --questions 40000 --seed 2

Builds CoreDNS from its published module into a cache outside of the repository (Go has to be installed; the first
build takes some minutes), fills a registry of its own with some thousand generated objects, starts both servers on
loopback for each Corefile and compares rcode, flags, question, EDNS and every section of every answer, over UDP and
TCP.

A difference is intended only if differences.py names it, and then docs/differences-from-coredns.md has to explain it.
The status is 1 if any other is left. docs/conformance-dns.md says what the last run found.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from conformance.cluster import running_cluster
from conformance.dns.asking import compare
from conformance.dns.corefiles import CASES, Case, write_corefile, write_files
from conformance.dns.differences import Difference, explain, unexplained
from conformance.dns.questions import Asking, question, transfers
from conformance.dns.servers import VERSION, build_coredns, free_port, running
from conformance.dns.world import World
from conformance.kubeapi import running_kube_apiserver
from conformance.page import render_page
from seamark import __version__
from seamark.client.client import Client
from seamark.client.kubeconfig import load_kubeconfig

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "conformance-dns.md"
APIS = {"seamark": "Seamark's API server", "kube-apiserver": "kube-apiserver v1.36.3"}
AGENT = "conformance-dns"


@dataclass(slots=True)
class Result:
    """One case: what was asked, and what was not the same."""

    case: str
    asked: int
    differences: list[Difference] = field(default_factory=list)

    def intended(self) -> Counter[str]:
        return Counter(name for found in self.differences if (name := explain(found)) is not None)

    def left(self) -> list[Difference]:
        return [found for found in self.differences if explain(found) is None]


def main() -> int:
    parser = argparse.ArgumentParser(prog="conformance.dns", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--questions", type=int, default=28000, help="in all, over every Corefile")
    parser.add_argument("--services", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--case", choices=CASES, action="append", help="these alone; writes no page")
    parser.add_argument("--api", choices=APIS, default="seamark")
    parser.add_argument("--as-coredns", action="store_true", help="with seamark dns -as-coredns; writes no page")
    parser.add_argument("--coredns", type=Path, help="a binary that is there already")
    parser.add_argument("--show", type=int, default=10, help="differences to print")
    options = parser.parse_args()
    if missing := unexplained():
        sys.exit(f"conformance-dns: differences-from-coredns.md does not explain {', '.join(missing)}")
    binary = options.coredns or build_coredns()
    with tempfile.TemporaryDirectory(prefix="seamark-conformance-") as text:
        results = list(_run(options, binary, Path(text)))
    return _report(options, results)


def _run(options: argparse.Namespace, binary: Path, directory: Path) -> Iterator[Result]:
    started = time.monotonic()
    with running_cluster("--nodes", "0") if options.api == "seamark" else running_kube_apiserver() as api:
        world = World(random.Random(options.seed))
        asyncio.run(_fill(world, api.kubeconfig, options.services))
        told = f"{len(world.services)} Services, {len(world.hosts)} endpoints and pods ({world.failed} refused)"
        print(f"{told}, {time.monotonic() - started:.0f} s", flush=True)
        write_files(directory)
        for name in options.case or CASES:
            started = time.monotonic()
            questions = [question(world, name) for _ in range(options.questions // len(options.case or CASES))]
            questions += world.random.sample(questions, len(questions) // 4)  # what was answered once may be kept
            questions += transfers(name)
            flags = ["-as-coredns"] if options.as_coredns else []
            found = list(_differences(name, questions, [str(binary)], flags, directory, api.kubeconfig))
            print(f"{name}: {len(questions)} questions, {len(found)} differences, {time.monotonic() - started:.0f} s")
            sys.stdout.flush()
            yield Result(name, len(questions), found)


async def _fill(world: World, kubeconfig: Path, count: int) -> None:
    client = Client(load_kubeconfig(kubeconfig).transport(), agent=AGENT)
    try:
        await world.fill(client, count)
    finally:
        await client.close()


def _differences(
    name: str, questions: list[Asking], theirs: list[str], flags: list[str], directory: Path, kubeconfig: Path
) -> Iterator[Difference]:
    case: Case = CASES[name]
    ports = free_port(), free_port()
    files = [
        write_corefile(case, directory=directory, kubeconfig=kubeconfig, port=port, ours=port == ports[0])
        for port in ports
    ]
    ours = [sys.executable, "-m", "seamark", "dns", *flags, "-conf", str(files[0])]
    theirs = [*theirs, "-conf", str(files[1])]
    with running(ours, ports[0], directory / "ours.log"), running(theirs, ports[1], directory / "theirs.log"):
        time.sleep(2)  # both have their lists by then
        yield from compare(name, ports, questions, sloppy_ttl=case.sloppy_ttl)


def _report(options: argparse.Namespace, results: list[Result]) -> int:
    left = [found for result in results for found in result.left()]
    for found in left[: options.show]:
        print(f"\n{found.case}: {found.question}")
        for key in sorted(found.fields, key=str) if found.ours.keys() == found.theirs.keys() else ["rcode"]:
            print(f"  {key}: seamark {found.ours.get(key)}\n  {key}: coredns {found.theirs.get(key)}")
    total: Counter[str] = sum((result.intended() for result in results), Counter())
    for name, number in sorted(total.items()):
        print(f"intended, {name}: {number}")
    print(f"unexplained: {len(left)} of {sum(result.asked for result in results)}")
    if not options.case and not options.as_coredns:
        PAGE.write_text(_page(options, results))
    return 1 if left else 0


def _page(options: argparse.Namespace, results: list[Result]) -> str:
    """With this run's part; what was found over the other API server stays as it was."""
    page = PAGE.read_text() if PAGE.exists() else ""
    parts = dict(re.findall(r"^## Over (.*)\n((?:(?!^## ).*\n)*)", page, re.MULTILINE))
    parts[APIS[options.api]] = f"\nMade on {date.today().isoformat()}.\n\n{_table(results)}\n"
    body = "\n".join(f"## Over {name}\n{parts[name].rstrip()}\n" for name in APIS.values() if name in parts)
    about = (
        "Questions that both servers were asked over the same registry, and how many answers were not the same in "
        "rcode, flags, EDNS and every section. Intended differences are explained in "
        "[differences-from-coredns.md](differences-from-coredns.md). Written by `make conformance-dns`, and with "
        "`API=kube-apiserver` over a kube-apiserver that both watch."
    )
    versions = {"seamark": __version__, "CoreDNS": VERSION}
    return render_page("Seamark's DNS beside CoreDNS", about, versions=versions, body=body)


def _table(results: list[Result]) -> str:
    lines = ["| Corefile | questions | intended differences | unexplained |", "|---|---|---|---|"]
    for result in results:
        told = ", ".join(f"{name} {number}" for name, number in sorted(result.intended().items())) or "none"
        lines.append(f"| {result.case} | {result.asked} | {told} | {len(result.left())} |")
    asked, left = sum(result.asked for result in results), sum(len(result.left()) for result in results)
    lines.append(f"| all | {asked} | {sum(sum(r.intended().values()) for r in results)} | {left} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
