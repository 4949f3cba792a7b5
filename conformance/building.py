"""Programs of Kubernetes, built on first use (needs Go) by tools/build-peers into a cache outside of the repository."""

from __future__ import annotations

import subprocess
from pathlib import Path

BUILDER = Path(__file__).resolve().parents[1] / "tools" / "build-peers"


def build_peers(*names: str, oldest: bool = False) -> Path:
    """The folder they lie in, whose name ends with their version. ``oldest``: that of Kubernetes we work with."""
    command = [BUILDER, *(["--oldest"] if oldest else []), *names]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.strip().splitlines()[-1])
