"""Bounds of a rollout: a number, or a share of a total such as ``25%``; pure (util/intstr in Kubernetes)."""

from __future__ import annotations


def resolve_share(value: int | str, total: int, *, up: bool) -> int:
    """``up`` says where a fraction goes. What the API let through otherwise counts as nothing."""
    if isinstance(value, int):
        return value
    if not value.endswith("%") or not value[:-1].isdecimal():
        return int(value) if value.isdecimal() else 0
    share = int(value[:-1]) * total
    return -(-share // 100) if up else share // 100
