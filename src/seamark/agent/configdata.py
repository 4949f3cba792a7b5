"""ConfigMap and Secret as the agent reads them, and which of them a pod refers to.

A pod's containers start only when each referred object is known: there, or known to be missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from seamark.agent.podspec import Pod
from seamark.model.meta import Object


class ConfigMap(Object, frozen=True):
    data: dict[str, str] | None = None
    binary_data: dict[str, bytes] | None = None

    @property
    def entries(self) -> dict[str, bytes]:
        return {**self.texts, **(self.binary_data or {})}

    @property
    def texts(self) -> dict[str, bytes]:
        """What may become variables: ``binaryData`` is for files alone."""
        return {k: v.encode() for k, v in (self.data or {}).items()}


class Secret(Object, frozen=True):
    data: dict[str, bytes] | None = None

    @property
    def entries(self) -> dict[str, bytes]:
        return self.data or {}

    @property
    def texts(self) -> dict[str, bytes]:
        return self.entries


class Ref(NamedTuple):
    """A ConfigMap or Secret in the pod's own namespace."""

    kind: Literal["ConfigMap", "Secret"]
    name: str


DOCKER_CONFIGS = (".dockerconfigjson", ".dockercfg")
"""Keys in Secrets of the types kubernetes.io/dockerconfigjson and kubernetes.io/dockercfg."""

Configs = Mapping[Ref, ConfigMap | Secret | None]
"""What is known of each reference; None = it does not exist."""


def select_references(pod: Pod) -> frozenset[Ref]:
    return frozenset((*_in_volumes(pod), *_in_environment(pod), *pull_secrets(pod)))


def pull_secrets(pod: Pod) -> tuple[Ref, ...]:
    return tuple(Ref("Secret", ref.name) for ref in pod.spec.image_pull_secrets or [] if ref.name)


def select_logins(pod: Pod, configs: Configs) -> tuple[bytes, ...]:
    """The Docker configurations of the pod's imagePullSecrets. A secret that is missing is passed over."""
    secrets = [configs.get(ref) for ref in pull_secrets(pod)]
    entries = [secret.entries for secret in secrets if secret is not None]
    return tuple(found[key] for found in entries for key in DOCKER_CONFIGS if key in found)


def _in_volumes(pod: Pod) -> Iterator[Ref]:
    for volume in pod.spec.volumes or []:
        if volume.config_map:
            yield Ref("ConfigMap", volume.config_map.name)
        if volume.secret:
            yield Ref("Secret", volume.secret.secret_name)
        for source in volume.projected.sources or [] if volume.projected else []:
            if source.config_map:
                yield Ref("ConfigMap", source.config_map.name)
            if source.secret:
                yield Ref("Secret", source.secret.name)


def _in_environment(pod: Pod) -> Iterator[Ref]:
    for container in pod.spec.all_containers:
        for source in container.env_from or []:
            if source.config_map_ref:
                yield Ref("ConfigMap", source.config_map_ref.name)
            if source.secret_ref:
                yield Ref("Secret", source.secret_ref.name)
        for var in container.env or []:
            if var.value_from and var.value_from.config_map_key_ref:
                yield Ref("ConfigMap", var.value_from.config_map_key_ref.name)
            if var.value_from and var.value_from.secret_key_ref:
                yield Ref("Secret", var.value_from.secret_key_ref.name)
