"""The proxies under test, as processes in the node's namespace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from seamark.linux import netns

INSTALLED = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""As installed: with its bytecode, which the first start leaves where an installer has not."""
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Kind:
    """``command`` takes the configuration file. ``periods``: minSyncPeriod for single changes, and for a burst;
    kube-proxy is best at one with the least, at the other with its default.
    """

    name: str
    mode: str
    command: tuple[str, ...]
    periods: tuple[str, str]

    def write_config(self, directory: Path, kubeconfig: Path, period: str) -> Path:
        section = {"minSyncPeriod": period} if period else {}
        document = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(kubeconfig)},
            "clusterCIDR": "10.0.0.0/8",
            "conntrack": {"maxPerCore": 0},
            "hostnameOverride": "node1",
            "mode": self.mode,
            self.mode: section,
        }
        path = directory / f"{self.mode}{period}.yaml"
        path.write_text(json.dumps(document))
        return path


def kinds(kube_proxy: Callable[[], Path], wanted: list[str]) -> list[Kind]:
    found = []
    if any(name.startswith("kube-proxy") for name in wanted):
        binary = str(kube_proxy())
        found = [Kind(f"kube-proxy {mode}", mode, (binary,), ("1ms", "1s")) for mode in ("nftables", "iptables")]
    ours = (sys.executable, "-m", "seamark", "proxy")
    if "seamark" in wanted:
        subprocess.run((*ours, "--version"), env=INSTALLED, check=True, stdout=subprocess.DEVNULL)
    found.append(Kind("seamark", "nftables", ours, ("", "")))
    return [kind for kind in found if kind.name in wanted]


class Running:
    """One process; ``cpu`` counts the programs it has run as well."""

    def __init__(self, kind: Kind, pin: Path, config: Path, log: Path) -> None:
        with log.open("ab") as out:
            argv = netns.command(pin, *kind.command, f"--config={config}")
            self._process = subprocess.Popen(argv, stdout=out, stderr=out, env=INSTALLED)
        self.log = log

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def cpu(self) -> float:
        """Seconds, user and system."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS

    def memory(self) -> float:
        """Resident MB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
