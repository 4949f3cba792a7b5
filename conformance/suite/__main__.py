"""Runs the suite's tests that need no node against ``seamark up --nodes 0``, and writes docs/conformance-api.md.

    make conformance-suite
    .venv/bin/python -m conformance.suite --focus ResourceQuota --jobs 1
    .venv/bin/python -m conformance.suite --only-failed

The suite is built on first use, into a cache outside of the repository (needs Go). Bodies are protobuf, the suite's
default. Slow tests, which wait minutes for something to happen, run beside the rest; serial ones alone at the end.
Results are kept beside the programs, so a run can be broken off. The status is 1 if a test failed that asks for nothing
that Seamark leaves out.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from conformance.building import build_peers
from conformance.cluster import Cluster, running_cluster
from conformance.kubeapi import running_control_plane
from conformance.kubectl.__main__ import fetch
from conformance.network.results import Results
from conformance.network.suite import Suite, Verdict, is_serial, list_tests
from conformance.page import escape, render_page
from conformance.suite.excluded import find_exclusion
from seamark import __version__
from seamark.linux.fabric import machine_address
from seamark.machinery.gvr import DEPLOYMENTS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "conformance-api.md"
SEAMARK = "seamark"
GUEST = "kube-apiserver-and-seamark"
"""Our controllers and scheduler there, in place of kube-controller-manager."""
CONFORMANCE = "[Conformance]"
KUBECTL_MINOR = 37
SLOW = re.compile(
    r"CronJob should (not schedule|replace|schedule multiple)|continue listing from the last key|"
    r"apply changes to a resourcequota status"
)
ABOUT = """The [Conformance] tests of Kubernetes' own end-to-end suite that need an API server and controllers but no
node, run against `seamark up --nodes 0` by `make conformance-suite`. Bodies are protobuf, as client-go sends them. –
says that a test asks for what Seamark [does not serve](not-served.md).

The list is that of the real thing: on a kube-apiserver and a kube-controller-manager v1.36.3 without nodes each of its
tests passes (`python -m conformance.suite --api kube-apiserver --patience 720`, 2026-11-24). Of the other 302
[Conformance] tests (`--others --patience 75`) none did: they wait for a pod to run, or ask for a node first."""


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = parse_options()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seamark" / "conformance-suite"
    (cache / "logs").mkdir(parents=True, exist_ok=True)
    peers = build_peers("e2e.test")
    tests = read_tests()
    if options.others:
        listed = set(tests)
        known = list_tests(peers / "e2e.test")
        tests = [test for test in known if CONFORMANCE in test and test not in listed]
    results = Results(cache / ("results.json" if options.api == SEAMARK else f"results-{options.api}.json"))
    chosen = [test for test in tests if re.search(options.focus, test)]
    if options.api == SEAMARK:
        chosen = [test for test in chosen if not find_exclusion(test)]
    if options.only_failed:
        chosen = [test for test in chosen if results.is_failed(test)]
    with open_api(options.api) as kubeconfig:
        program, kubectl = peers / "e2e.test", str(fetch(KUBECTL_MINOR))
        suite = Suite(program, kubeconfig, kubectl, (), cache / "logs", options.patience, ("--num-nodes=0",))
        run_all(suite, chosen, results, jobs=options.jobs)
    if not options.focus and options.api == SEAMARK:
        PAGE.write_text(render(tests, results, peers.name.removeprefix("kubernetes-")))
    failed = [test for test in chosen if results.is_failed(test)]
    for test in failed:
        print(f"✗ {test}: {result.why if (result := results.get(test)) else 'not run'}")
    print(f"{len(chosen) - len(failed)} passed, {len(failed)} failed, {len(tests) - len(chosen)} skipped")
    return 1 if failed else 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--focus", default="", help="a pattern that names must match; the page is not written")
    parser.add_argument(
        "--api", choices=(SEAMARK, "kube-apiserver", GUEST), default=SEAMARK, help="no page but for the first"
    )
    parser.add_argument("--others", action="store_true", help="the conformance tests that are not in the list")
    parser.add_argument("--only-failed", action="store_true", help="what failed last, or never ran")
    parser.add_argument("--jobs", type=int, default=3, help="tests side by side, but for serial and slow ones")
    parser.add_argument("--patience", type=int, default=600, help="seconds a test may take")
    return parser.parse_args()


def read_tests() -> list[str]:
    lines = Path(__file__).with_name("tests.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@contextmanager
def open_api(name: str) -> Iterator[Path]:
    """The administrator's kubeconfig, until the block ends."""
    if name == SEAMARK:
        with running_cluster("--nodes", "0", "--advertise-address", machine_address()) as cluster:
            asyncio.run(remove_dns(cluster))
            yield cluster.kubeconfig
    else:
        with running_control_plane(f"--advertise-address={machine_address()}", ours=name == GUEST) as api:
            yield api.kubeconfig


async def remove_dns(cluster: Cluster) -> None:
    """The suite waits for every pod of kube-system, and no node is there to run them."""
    scale = {"spec": {"replicas": 0}}
    await cluster.client().patch(DEPLOYMENTS, "coredns", scale, namespace="kube-system")


def run_all(suite: Suite, tests: Sequence[str], results: Results, *, jobs: int) -> None:
    slow = [test for test in tests if SLOW.search(test)]
    serial = [test for test in tests if is_serial(test) and test not in slow]
    others = [test for test in tests if test not in slow and test not in serial]
    with open_pool(suite, len(slow) or 1) as waiting:
        beside = {waiting.submit(suite.run, test): test for test in slow}
        for batch, workers in ((others, jobs), (serial, 1)):
            with open_pool(suite, workers) as pool:
                note_all({pool.submit(suite.run, test): test for test in batch}, results)
        note_all(beside, results)


@contextmanager
def open_pool(suite: Suite, workers: int) -> Iterator[ThreadPoolExecutor]:
    """Where the run is broken off, what waits is dropped and what runs is ended, so that the cluster is taken down."""
    with ThreadPoolExecutor(workers) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            suite.stop()
            raise


def note_all(running: dict[Future[Verdict], str], results: Results) -> None:
    for done in as_completed(running):
        test, verdict = running[done], done.result()
        results.note(test, verdict)
        print(f"{verdict.outcome:<8}{verdict.seconds:6.0f} s  {test} {verdict.why}".rstrip(), flush=True)


def render(tests: Sequence[str], results: Results, version: str) -> str:
    lines = ["| test | | seconds | date |", "|---|---|---|---|"]
    counts = {"passed": 0, "failed": 0, "left out": 0}
    for test in tests:
        name = escape(test.removesuffix(" [Conformance]"))
        if why := find_exclusion(test):
            counts["left out"] += 1
            lines.append(f"| {name} | – {escape(why)} | | |")
        elif (result := results.get(test)) is None:
            counts["failed"] += 1
            lines.append(f"| {name} | ✗ not run | | |")
        else:
            passed = result.outcome == "passed"
            counts["passed" if passed else "failed"] += 1
            mark = "✓" if passed else f"✗ {escape(result.why)}"
            lines.append(f"| {name} | {mark} | {result.seconds:.0f} | {result.date} |")
    told = f"{len(tests)} tests: " + ", ".join(f"{count} {name}" for name, count in counts.items()) + ".\n\n"
    versions = {"Seamark": __version__, "Kubernetes' suite": version}
    return render_page("Kubernetes' API tests", ABOUT, versions=versions, body=told + "\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
