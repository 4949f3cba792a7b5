"""A data directory on a medium that is full, then read-only: a small tmpfs in a mount namespace of the test's own.

The story runs as a process of its own (this file as a program, under ``unshare -m``) and prints what it saw as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.net, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


class Story:
    def __init__(self, root: Path, port: int) -> None:
        self.root, self.data, self.port = root, root / "cluster", port
        self.filler = root / "filler"
        self.seen: dict[str, Any] = {}

    def seamark(self, *argv: str) -> tuple[int, list[str]]:
        command = [sys.executable, "-m", "seamark", argv[0], "--data-dir", str(self.data), *argv[1:]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stderr.strip().splitlines()

    def up(self) -> tuple[int, list[str]]:
        return self.seamark("up", "--nodes", "0", "--port", str(self.port), "--detach")

    def ask(self, method: str, name: str, size: int = 1) -> tuple[int, str]:
        tls = ssl.create_default_context(cafile=str(self.data / "pki/ca.crt"))
        tls.load_cert_chain(self.data / "pki/admin.crt", self.data / "pki/admin.key")
        body = (
            json.dumps({"metadata": {"name": name}, "data": {"k": "x" * size}}).encode() if method == "POST" else None
        )
        path = f"https://127.0.0.1:{self.port}/api/v1/namespaces/default/configmaps"
        url = path if method == "POST" else f"{path}/{name}"
        request = urllib.request.Request(url, body, {"content-type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, context=tls, timeout=10) as answer:
                return answer.status, ""
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())["message"]

    def fill(self) -> None:
        with self.filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass

    def run(self) -> None:
        mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(self.root)]
        subprocess.run(mount, check=True)
        try:
            self.tell()
        finally:
            subprocess.run(["mount", "-o", "remount,rw", str(self.root)], check=False, capture_output=True)
            self.filler.unlink(missing_ok=True)
            self.seamark("down", "--purge")

    def tell(self) -> None:
        seen = self.seen
        seen["first up"] = self.up()
        acknowledged = [f"kept-{number}" for number in range(60) if self.ask("POST", f"kept-{number}", 10)[0] == 201]
        self.fill()
        late = [f"late-{number}" for number in range(30)]  # some still fit into what the journal has already
        acknowledged += [name for name in late if self.ask("POST", name, 20_000)[0] == 201]
        seen["write"], seen["read"] = self.ask("POST", "refused", 20_000), self.ask("GET", "kept-0")
        os.kill(int((self.data / "lock").read_text()), signal.SIGKILL)
        seen["up on a full disk"] = self.up()
        self.filler.unlink()
        seen["up with room"] = self.up()
        seen["acknowledged"] = len(acknowledged)
        seen["lost"] = [name for name in acknowledged if self.ask("GET", name)[0] != 200]
        seen["refused after all"] = self.ask("GET", "refused")[0]
        seen["write again"] = self.ask("POST", "again")
        seen["down"] = self.seamark("down")
        subprocess.run(["mount", "-o", "remount,ro", str(self.root)], check=True)
        seen["up on a read-only disk"] = self.up()


def test_a_full_then_a_read_only_disk(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    story = ["unshare", "--mount", "--propagation", "private", sys.executable, __file__, str(tmp_path), str(port)]
    done = subprocess.run(story, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["first up"] == [0, []]
    code, message = seen["write"]
    assert code == 500 and "the store refuses writes" in message and "full" in message
    assert seen["read"] == [200, ""]
    code, lines = seen["up on a full disk"]
    assert code == 1 and len(lines) == 1 and "No space left on device" in lines[0] and "free some space" in lines[0]
    assert seen["up with room"] == [0, []]
    assert (seen["acknowledged"] >= 60, seen["lost"], seen["refused after all"]) == (True, [], 404)
    assert seen["write again"] == [201, ""] and seen["down"] == [0, []]
    code, lines = seen["up on a read-only disk"]
    assert code == 1 and len(lines) == 1 and "not writable" in lines[0], lines


if __name__ == "__main__":
    told = Story(Path(sys.argv[1]), int(sys.argv[2]))
    told.run()
    print(json.dumps(told.seen))
