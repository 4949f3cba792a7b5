"""One bash that a person might sit at: commands go in as typed, their real output comes out, each is judged.

A step passes when its exit status and output are as told; ``within`` types the command again until it is or the
seconds are over, as a person watching would. Nothing here looks anywhere but at what a command prints.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

COMMAND_SECONDS = 90
RETRY_SECONDS = 0.15
SHOWN_LINES = 40


class CommandTimeoutError(Exception):
    """A command did not come back; the demo cannot go on in this shell."""


class Shell:
    """A bash whose variables live from one command to the next."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, command: str, *, seconds: float = COMMAND_SECONDS) -> tuple[int, str]:
        """Exit status and everything printed. Standard input of the command is empty."""
        assert self._process.stdin is not None and self._process.stdout is not None
        mark = f"--{secrets.token_hex(8)}--"
        text = f"{{ {command}\n}} </dev/null; printf '\\n{mark}%s\\n' \"$?\"\n"
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()
        found = b""
        deadline = time.monotonic() + seconds
        descriptor = self._process.stdout.fileno()
        os.set_blocking(descriptor, False)
        while not (ended := re.search(rb"\n" + mark.encode() + rb"(\d+)\n", found)):
            if time.monotonic() > deadline:
                raise CommandTimeoutError(f"no end after {seconds:.0f} s: {command}\n{found.decode(errors='replace')}")
            try:
                chunk = os.read(descriptor, 65536)
            except BlockingIOError:
                time.sleep(0.005)
                continue
            if not chunk:
                raise CommandTimeoutError(f"the shell ended during: {command}\n{found.decode(errors='replace')}")
            found += chunk
        return int(ended.group(1)), found[: ended.start()].decode(errors="replace")

    def close(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait(10)


@dataclass
class Result:
    passed: int = 0
    failed: list[str] = field(default_factory=list)


class Tutorial:
    """What the steps are written in: ``run`` shows and judges, ``note`` says what comes."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self.result = Result()
        self._colour = sys.stdout.isatty()

    def section(self, title: str) -> None:
        self._print(f"\n{self._paint('1', title)}\n")

    def note(self, text: str) -> None:
        self._print(self._paint("2", f"# {text}") + "\n")

    def run(
        self,
        command: str,
        *shows: str,
        hides: Sequence[str] = (),
        status: int | None = 0,
        within: float = 0,
        why: str = "",
    ) -> str:
        """Types ``command``; every pattern of ``shows`` must be found in its output and none of ``hides``.

        Patterns are regular expressions in multi-line mode. ``status`` None = any. Returns the output.
        """
        self._print(f"{self._paint('36', '$')} {command}\n")
        began = time.monotonic()
        deadline = began + within
        while True:
            code, output = self._shell.run(command)
            reason = judge(code, output, shows=shows, hides=hides, status=status)
            if not reason or time.monotonic() >= deadline:
                break
            time.sleep(RETRY_SECONDS)
        self._show(output)
        took = time.monotonic() - began
        self._verdict(why or command, reason, took=f" ({took:.1f} s)" if took >= 1 else "")
        return output

    def check(self, what: str, reason: str) -> None:
        """A judgement over what was printed before; an empty ``reason`` is a pass."""
        self._verdict(what, reason)

    def set(self, name: str, command: str) -> str:
        """``NAME=$(command)``, as a person keeps a value; fails as a step when it is empty."""
        self._print(f"{self._paint('36', '$')} {name}=$({command})\n")
        self._shell.run(f"{name}=$({command})")
        _, value = self._shell.run(f'printf %s "${name}"')
        if not value.strip():
            self._verdict(f"{name}=$({command})", "it is empty")
        return value.strip()

    def _verdict(self, what: str, reason: str, *, took: str = "") -> None:
        what = what.splitlines()[0]
        if reason:
            self.result.failed.append(f"{what}: {reason}")
            self._print(f"  {self._paint('31', '✗')} {reason}{took}\n")
        else:
            self.result.passed += 1
            self._print(f"  {self._paint('32', '✓')} {what}{took}\n")

    def _show(self, output: str) -> None:
        lines = output.rstrip("\n").splitlines()
        for line in lines[:SHOWN_LINES]:
            self._print(f"  {line}\n")
        if len(lines) > SHOWN_LINES:
            self._print(f"  … {len(lines) - SHOWN_LINES} more lines\n")

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def _print(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def judge(code: int, output: str, *, shows: Sequence[str], hides: Sequence[str], status: int | None) -> str:
    """Why the step failed; empty = it passed."""
    if status is not None and code != status:
        return f"exit status {code}, expected {status}"
    for pattern in shows:
        if not re.search(pattern, output, re.MULTILINE):
            return f"not seen: {pattern}"
    for pattern in hides:
        if found := re.search(pattern, output, re.MULTILINE):
            return f"seen, and must not be: {found.group(0)}"
    return ""
