"""Kernel settings of a network namespace, written below /proc/sys: the thread that writes decides whose they are."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from seamark.linux import netns

logger = logging.getLogger(__name__)

ROOT = Path("/proc/sys")


def read_sysctl(name: str) -> str | None:
    """The value in this process's own namespace; None where this kernel has no such setting."""
    try:
        return _path(name).read_text().strip()
    except OSError:
        return None


def write_sysctls(namespace: Path | None, settings: Mapping[str, str]) -> list[str]:
    """Writes each that says something else (``net.ipv4.ip_forward``); gives what could not be written, and why."""

    def work() -> list[str]:
        refused = []
        for name, value in settings.items():
            try:
                if _path(name).read_text().strip() != value:
                    _path(name).write_text(value)
                    logger.info("sysctl %s=%s", name, value)
            except OSError as error:
                refused.append(f"{name}: {error.strerror}")
        return refused

    if not settings:
        return []
    return work() if namespace is None else netns.run_in(namespace, work)


def _path(name: str) -> Path:
    return ROOT.joinpath(*name.split("."))
