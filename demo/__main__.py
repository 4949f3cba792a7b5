"""``make demo``: brings up a three-node cluster, walks the tutorial A to F, takes everything down, leaves nothing.

Options: ``--kubectl FILE`` (default: $KUBECTL, else the one on PATH, else .tools/bin/kubectl), ``--only A,C``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from demo import machine
from demo.session import CommandTimeoutError, Shell, Tutorial
from demo.steps import SECTIONS

ROOT = Path(__file__).resolve().parent.parent


def find_kubectl(given: str) -> str:
    local = ROOT / ".tools" / "bin" / "kubectl"
    found = given or os.environ.get("KUBECTL") or shutil.which("kubectl") or (str(local) if local.exists() else "")
    if not found:
        sys.exit("demo: no kubectl: `make setup` brings one, or give --kubectl FILE")
    return str(Path(found).resolve() if not Path(found).is_symlink() else Path(found).absolute())


def environment(work: Path, kubectl: str) -> dict[str, str]:
    """What the shell of the demo sees: our seamark, that kubectl, a home of its own, no proxies."""
    tools = work / "bin"
    tools.mkdir()
    (tools / "kubectl").symlink_to(kubectl)
    (tools / "seamark").symlink_to(ROOT / ".venv" / "bin" / "seamark")
    path = f"{tools}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    home = work / "home"
    home.mkdir()
    kept = {k: v for k, v in os.environ.items() if k in ("LANG", "LC_ALL", "TERM")}
    return {**kept, "PATH": path, "HOME": str(home), "DATA": str(work / "cluster"), "WORK": str(work)}


def main() -> int:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--kubectl", default="")
    parser.add_argument("--only", default="", help="letters of the sections to walk, e.g. A,D (all when absent)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    before = machine.look()
    work = Path(tempfile.mkdtemp(prefix="seamark-demo-"))
    shell = Shell(ROOT / "demo" / "manifests", environment(work, find_kubectl(options.kubectl)))
    tutorial = Tutorial(shell)
    wanted = {letter.strip().upper() for letter in options.only.split(",") if letter.strip()}
    try:
        _walk(tutorial, wanted)
    except CommandTimeoutError as error:
        tutorial.check("every command comes back", str(error))
    except KeyboardInterrupt:
        tutorial.check("walked to the end", "interrupted")
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _leave(tutorial, work, before)
        shell.close()
        shutil.rmtree(work, ignore_errors=True)
    result = tutorial.result
    print()
    for line in result.failed:
        print(f"✗ {line}")
    print(f"walked in {time.monotonic() - began:.0f} s")
    print(f"{result.passed} passed, {len(result.failed)} failed")
    return 1 if result.failed or not result.passed else 0


def _walk(tutorial: Tutorial, wanted: set[str]) -> None:
    tutorial.section("The cluster")
    tutorial.run("seamark up --nodes 3 --detach --data-dir $DATA", r"cluster ready in [\d.]+ s", r"export KUBECONFIG=")
    tutorial.run("export KUBECONFIG=$DATA/admin.kubeconfig")
    tutorial.run("kubectl version", r"Client Version: v1\.\d+", r"Server Version: v1\.\d+")
    tutorial.run(
        "kubectl get nodes -o wide",
        r"^NAME +STATUS +ROLES +AGE +VERSION +INTERNAL-IP",
        r"^master1 +Ready +control-plane",
        r"^node1 +Ready",
        r"^node2 +Ready",
        within=10,
    )
    tutorial.run(
        "kubectl get nodes -o jsonpath='{range .items[*]}{.metadata.name} {.spec.podCIDR}{\"\\n\"}{end}'",
        r"^master1 10\.244\.0\.0/24$",
        r"^node1 10\.244\.1\.0/24$",
        r"^node2 10\.244\.2\.0/24$",
    )
    tutorial.run("seamark image build-pod-test --data-dir $DATA", r"192\.168\.10\.33:80/k8s/pod_test:v0\.1")
    for title, step in SECTIONS:
        if not wanted or title[0] in wanted:
            tutorial.section(title)
            step(tutorial)


def _leave(tutorial: Tutorial, work: Path, before: dict[str, str]) -> None:
    """Takes the cluster down and shows that the machine is as it was."""
    tutorial.section("Down")
    running = machine.processes(work)
    tutorial.run("seamark down --purge --data-dir $DATA", r"removed")
    left = [text for pid, text in machine.processes(work).items() if running.get(pid) == text]
    tutorial.check(f"none of its {len(running)} processes is left", "; ".join(left[:5]))
    for name, lines in machine.differences(before, machine.look()).items():
        tutorial.check(f"{name} as before", "; ".join(lines[:5]))
    unchanged = set(before) - set(machine.differences(before, machine.look()))
    tutorial.check(f"as before: {', '.join(sorted(unchanged))}", "" if unchanged else "nothing is as before")


if __name__ == "__main__":
    sys.exit(main())
