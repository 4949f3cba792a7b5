"""Snapshot -> the environment variables by which a starting pod finds Services (product: EnvBlock).

Source: core/v1 PodSpec.enableServiceLinks; the Docker-link form is that of Docker's legacy container links.
"""

from __future__ import annotations

from dataclasses import dataclass

from seamark.model.meta import Provenance


@dataclass(frozen=True, slots=True)
class EnvVar:
    name: str
    value: str
    origin: Provenance


@dataclass(frozen=True, slots=True)
class EnvBlock:
    """Variables in the order kubelet gives them; ``as_dict`` is what a process gets (a later name wins)."""

    variables: tuple[EnvVar, ...]

    def as_dict(self) -> dict[str, str]:
        return {v.name: v.value for v in self.variables}
