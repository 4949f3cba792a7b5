"""What the machine looks like from outside: taken before and after, so that the demo can prove it left nothing."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from pathlib import Path

COMMANDS = {
    "ip link": ["ip", "-o", "link"],
    "ip route": ["ip", "route", "show", "table", "all"],
    "nft list ruleset": ["nft", "list", "ruleset"],
    "mounts": ["cat", "/proc/self/mounts"],
}


def look() -> dict[str, str]:
    """Name of the view -> what it shows."""
    found = {name: _output(argv) for name, argv in COMMANDS.items()}
    found["/etc"] = _tree(Path("/etc"))
    found["processes"] = "\n".join(sorted(_processes()))
    return found


def differences(before: dict[str, str], after: dict[str, str]) -> dict[str, list[str]]:
    """View -> lines that came or went. Processes that ended meanwhile are no concern of ours."""
    found: dict[str, list[str]] = {}
    for name, old in before.items():
        old_lines, new_lines = set(old.splitlines()), set(after[name].splitlines())
        changed = [f"+ {line}" for line in sorted(new_lines - old_lines)]
        if name != "processes":
            changed += [f"- {line}" for line in sorted(old_lines - new_lines)]
        if changed:
            found[name] = changed
    return found


def _output(argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return re.sub(r"(valid_lft|preferred_lft|expires) \d+\w*", r"\1", done.stdout)


def _tree(root: Path) -> str:
    lines = []
    for directory, _, files in os.walk(root):
        for name in files:
            path = Path(directory, name)
            try:
                content = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
            except OSError:
                continue
            lines.append(f"{path} {hashlib.sha256(content).hexdigest()[:16]}")
    return "\n".join(sorted(lines))


def _processes() -> list[str]:
    """Command lines of Seamark's and its pods' processes, the kind this demo starts."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            argv = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        if argv and int(entry.name) != os.getpid() and re.search(r"seamark|runc|supervisor|podtest|pod_test", argv):
            found.append(f"{entry.name} {argv}")
    return found
