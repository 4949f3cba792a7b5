"""docs/pods.md does what it says: its commands are run as they stand."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.net, pytest.mark.timeout(180), pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

PAGE = Path(__file__).parents[2] / "docs" / "pods.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_command_of_the_page(tmp_path: Path) -> None:
    kubectl = os.environ.get("KUBECTL") or shutil.which("kubectl") or str(Path(".tools/bin/kubectl").absolute())
    data = tmp_path / "cluster"
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "kubectl").symlink_to(kubectl)
    given = 'command=$1; shift; case $command in image) command="image $1"; shift;; esac'
    seamark = programs / "seamark"
    seamark.write_text(f'#!/bin/sh\n{given}\nexec {sys.executable} -m seamark $command --data-dir {data} "$@"\n')
    seamark.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "KUBECONFIG": str(data / "admin.kubeconfig"),
    }
    blocks = BLOCK.findall(PAGE.read_text())
    assert len(blocks) > 5
    script = "set -euxo pipefail\n" + "\n".join(blocks)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    try:
        subprocess.run([seamark, "up", "--detach", "--port", port], env=environment, check=True, timeout=60)
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert "from this machine" in done.stdout
    finally:
        subprocess.run([seamark, "down", "--purge"], env=environment, check=True, timeout=60)
