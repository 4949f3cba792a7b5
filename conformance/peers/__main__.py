"""Runs Kubernetes' own parts on Seamark's API and writes docs/conformance-peers.md; the status is 1 if a check failed.

    make conformance-api
    .venv/bin/python -m conformance.peers --only kube-proxy

They are built from their published modules on first use, into a cache outside of the repository (needs Go). Each has a
cluster of its own. Logs stay where the last line says when a check failed.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from conformance.building import build_peers
from conformance.cluster import running_cluster
from conformance.dns.servers import VERSION as COREDNS_VERSION
from conformance.dns.servers import build_coredns
from conformance.page import escape, render_page
from conformance.peers.coredns import check_coredns
from conformance.peers.manager import check_manager
from conformance.peers.proxy import check_proxy
from seamark import __version__

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "conformance-peers.md"
ABOUT = """Kubernetes' own parts, unmodified, in place of Seamark's and on Seamark's API, run by `make conformance-api`.
Each is the user it is in Kubernetes, with that user's default roles; a check says what it brought about."""
STAGES = {
    "kube-controller-manager": (check_manager, ("--nodes", "1", "--controllers", "")),
    "kube-proxy": (check_proxy, ("--nodes", "1", "--disable-kube-proxy")),
    "CoreDNS": (check_coredns, ("--nodes", "0")),
}


def build(name: str) -> Path:
    if name == "CoreDNS":
        return build_coredns()
    return build_peers(name) / name


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=STAGES, help="one of them; the page is not written")
    only = parser.parse_args().only
    logs = Path(tempfile.mkdtemp(prefix="seamark-peers-"))
    rows: list[tuple[str, str, str]] = []
    for name, (check, options) in STAGES.items():
        if only in (None, name):
            binary = build(name)
            with running_cluster(*options) as cluster:
                rows += asyncio.run(check(cluster, binary, logs / f"{name}.log")).rows
    if only is None:
        lines = [f"| {peer} | {escape(what)} | {f'✗ {escape(why)}' if why else '✓'} |" for peer, what, why in rows]
        version = build("kube-proxy").parent.name.removeprefix("kubernetes-")
        versions = {"Seamark": __version__, "Kubernetes": version, "CoreDNS": COREDNS_VERSION}
        body = "\n".join(["| part | check | |", "|---|---|---|", *lines, ""])
        PAGE.write_text(render_page("Kubernetes' own parts on Seamark's API", ABOUT, versions=versions, body=body))
    failed = sum(bool(why) for _, _, why in rows)
    print(f"{len(rows) - failed} passed, {failed} failed" + (f"; logs: {logs}" if failed else ""))
    if not failed:
        shutil.rmtree(logs)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
