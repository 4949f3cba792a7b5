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
    return found


def differences(before: dict[str, str], after: dict[str, str]) -> dict[str, list[str]]:
    """View -> lines that came or went."""
    found: dict[str, list[str]] = {}
    for name, old in before.items():
        old_lines, new_lines = set(old.splitlines()), set(after[name].splitlines())
        changed = [f"+ {line}" for line in sorted(new_lines - old_lines)]
        if name != "mounts":  # somebody else's unmounting is no concern of ours
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


def processes(work: Path) -> dict[int, str]:
    """Pid -> start time and command line of every process of the clusters below ``work``, and of what they started."""
    seen: dict[int, tuple[int, str, str]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            argv = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        seen[int(entry.name)] = (int(fields[1]), fields[19], argv)
    ours = {pid for pid, (_, _, argv) in seen.items() if "seamark" in argv and str(work) in argv}
    while more := {pid for pid, (parent, _, _) in seen.items() if parent in ours and pid not in ours}:
        ours |= more
    return {pid: f"{seen[pid][1]} {seen[pid][2]}" for pid in ours}
