"""Runs the network tests of Kubernetes' suite and writes docs/conformance-network.md.

    make conformance-network                        the 47 of the conformance set
    make conformance-network SET=all                further groups as well
    .venv/bin/python -m conformance.network --only-failed --focus 'session affinity' --jobs 1

Programs and packages are built and fetched on first use, into a cache outside of the repository (needs Go and apt). The
cluster is one of its own, in namespaces, of two nodes (six for all); ``--data-dir`` uses one that runs. Results are
kept beside the programs, so a run can be broken off: ``--only-failed`` runs what failed or was never run. The status is
1 if any test of the set, as far as is known, failed or was not run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from conformance.building import build_peers
from conformance.cluster import Cluster, running_cluster
from conformance.dns.servers import build_coredns
from conformance.network.groups import CONFORMANCE, select_groups, select_left_out
from conformance.network.images import ImageFactory, Sources, has_recipe, module_folder
from conformance.network.results import Results, render_results
from conformance.network.suite import Suite, is_serial, list_images, list_tests
from seamark import __version__
from seamark.cli.datadir import DataDir
from seamark.cli.settings import Settings
from seamark.linux import netns
from seamark.linux.fabric import FABRIC
from seamark.machinery.gvr import NODES

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "conformance-network.md"
ZONES = ("east", "south", "west")
"""For all tests there are two nodes in each: some look at how traffic is kept near."""


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = parse_options()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seamark" / "conformance-network"
    (cache / "logs").mkdir(parents=True, exist_ok=True)
    peers = build_peers("e2e.test", "agnhost", "regression-issue-74839")
    program = peers / "e2e.test"
    known = list_tests(program)
    groups = select_groups(known)
    wanted = [test for group, tests in groups.items() if options.set == "all" or group == CONFORMANCE for test in tests]
    results = Results(cache / "results.json")
    chosen = [test for test in wanted if re.search(options.focus, test)]
    if options.only_failed:
        chosen = [test for test in chosen if results.is_failed(test)]
    print(f"{len(chosen)} tests to run of {len(wanted)}")
    sources = Sources(cache, peers, module_folder(ROOT / "tools" / "peers"), build_coredns())
    if chosen:
        with open_cluster(options) as cluster:
            load_images(cluster, sources, [name for name in list_images(program) if has_recipe(name)])
            run_all(make_suite(cluster, program, cache / "logs", options), chosen, results, jobs=options.jobs)
    PAGE.write_text(render_results(groups, select_left_out(known), results, versions(peers)))
    failed = [test for test in wanted if results.is_failed(test)]
    print(f"{len(wanted) - len(failed)} of {len(wanted)} passed or skipped; {PAGE.relative_to(ROOT)} written")
    for test in failed:
        result = results.get(test)
        print(f"✗ {test}: {result.why if result else 'not run'}")
    return 1 if failed else 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=("conformance", "all"), default="conformance")
    parser.add_argument("--focus", default="", help="a pattern that names must match")
    parser.add_argument("--only-failed", action="store_true", help="what failed last, or never ran")
    parser.add_argument("--jobs", type=int, default=3, help="tests side by side, but for serial ones")
    parser.add_argument("--patience", type=int, default=600, help="seconds a test may take")
    parser.add_argument("--data-dir", type=Path, help="a running cluster, instead of one of its own")
    return parser.parse_args()


@contextmanager
def open_cluster(options: argparse.Namespace) -> Iterator[Cluster]:
    """The one that runs in ``--data-dir``, else one of its own until the block ends."""
    found: AbstractContextManager[Cluster]
    everything = options.set == "all"
    if options.data_dir:
        settings = DataDir(options.data_dir).read_settings()
        if settings is None:
            sys.exit(f"--data-dir {options.data_dir}: no cluster there")
        found = nullcontext(Cluster(options.data_dir, settings.port))
    else:
        found = running_cluster("--nodes", str(2 * len(ZONES)) if everything else "2")
    with found as cluster:
        if everything:
            label_zones(cluster)
        yield cluster


def label_zones(cluster: Cluster) -> None:
    async def label() -> None:
        client = cluster.client()
        names = [node["metadata"]["name"] for node in await client.list(NODES)]
        for index, name in enumerate(names):
            labels = {"topology.kubernetes.io/zone": ZONES[index % len(ZONES)]}
            await client.patch(NODES, name, {"metadata": {"labels": labels}})

    asyncio.run(label())


def load_images(cluster: Cluster, sources: Sources, names: Sequence[str]) -> None:
    there = {image["name"] for image in json.loads(cluster.seamark("image", "list", "-o", "json"))}
    factory = ImageFactory(sources)
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            if name not in there:
                print(f"making {name}", flush=True)
                archive = Path(folder, "image.tar")
                factory.write_archive(name, archive)
                cluster.seamark("image", "load", str(archive))


def make_suite(cluster: Cluster, program: Path, logs: Path, options: argparse.Namespace) -> Suite:
    """The suite runs on the nodes' network, where it reaches the API server at the first node's address."""
    kubeconfig = cluster.data / "suite.kubeconfig"
    url = f"https://{Settings().node_address(0)}:6443"
    kubeconfig.write_text(cluster.kubeconfig.read_text().replace(cluster.url, url))
    kubeconfig.chmod(0o600)
    enter = netns.command(cluster.data / "run" / "netns" / FABRIC)
    kubectl = shutil.which("kubectl") or str(ROOT / ".tools" / "bin" / "kubectl")
    return Suite(program, kubeconfig, kubectl, enter, logs, options.patience)


def run_all(suite: Suite, tests: Sequence[str], results: Results, *, jobs: int) -> None:
    """Those that may run beside others first."""
    alone = [test for test in tests if is_serial(test)]
    for batch, workers in (([test for test in tests if not is_serial(test)], jobs), (alone, 1)):
        with ThreadPoolExecutor(workers) as pool:
            running = {pool.submit(suite.run, test): test for test in batch}
            try:
                for done in as_completed(running):
                    test, verdict = running[done], done.result()
                    results.note(test, verdict)
                    why = f": {verdict.why}" if verdict.why else ""
                    print(f"{verdict.outcome:<8}{verdict.seconds:6.0f} s  {test}{why}", flush=True)
            except BaseException:  # interrupted
                pool.shutdown(wait=False, cancel_futures=True)
                suite.stop()
                raise


def versions(peers: Path) -> dict[str, str]:
    runc = subprocess.run(["runc", "--version"], capture_output=True, text=True, check=True).stdout.split()[2]
    return {
        "Seamark": __version__,
        "Kubernetes' suite": peers.name.removeprefix("kubernetes-"),
        "runc": runc,
        "Linux": platform.release(),
    }


if __name__ == "__main__":
    sys.exit(main())
