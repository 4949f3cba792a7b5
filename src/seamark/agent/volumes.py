"""What the files of configMap, secret, downwardAPI and projected volumes hold (pure).

A volume is a mapping of relative path to File. A reference that leads nowhere and is not optional is a VolumeError,
told as an Event FailedMount; the pod waits and is tried again as soon as the object changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from seamark.agent.configdata import Configs, Ref
from seamark.agent.downward import PodFacts, resolve_field, resolve_resource
from seamark.agent.environment import missing
from seamark.agent.podspec import DownwardSource, FilesSource, Pod, ProjectedSource, TokenSource, Volume

DEFAULT_MODE = 0o644


class VolumeError(Exception):
    """The text of the Event FailedMount, after the volume's name."""


@dataclass(frozen=True, slots=True)
class File:
    data: bytes
    mode: int = DEFAULT_MODE


Files = Mapping[str, File]
Tokens = Mapping[TokenSource, str]


def has_files(volume: Volume) -> bool:
    """Whether the volume is one whose files come from the API."""
    return bool(volume.config_map or volume.secret or volume.downward_api or volume.projected)


def is_in_memory(volume: Volume) -> bool:
    """Whether its files must never reach the disk: secrets, and whatever may hold a token."""
    return bool(volume.secret or volume.downward_api or volume.projected)


def select_tokens(pod: Pod) -> tuple[TokenSource, ...]:
    """Every service account token the pod's volumes ask for."""
    projected = [v.projected for v in pod.spec.volumes or [] if v.projected]
    return tuple(s.service_account_token for p in projected for s in p.sources or [] if s.service_account_token)


def plan_files(pod: Pod, volume: Volume, *, configs: Configs, tokens: Tokens, facts: PodFacts) -> Files:
    """Raises VolumeError, or ConfigError for a field that cannot be resolved."""
    projected = volume.projected
    sources = projected.sources or [] if projected else [_as_source(volume)]
    mode = projected.default_mode if projected else None
    files: dict[str, File] = {}
    for source in sources:
        for path, file in _source_files(pod, source, mode, configs=configs, tokens=tokens, facts=facts):
            files[_checked(path)] = file
    return files


def _as_source(volume: Volume) -> ProjectedSource:
    return ProjectedSource(config_map=volume.config_map, secret=volume.secret, downward_api=volume.downward_api)


def _source_files(
    pod: Pod, source: ProjectedSource, mode: int | None, *, configs: Configs, tokens: Tokens, facts: PodFacts
) -> Iterable[tuple[str, File]]:
    default = DEFAULT_MODE if mode is None else mode
    if source.config_map:
        return _entries(Ref("ConfigMap", source.config_map.name), source.config_map, default, configs)
    if source.secret:
        name = source.secret.secret_name or source.secret.name
        return _entries(Ref("Secret", name), source.secret, default, configs)
    if source.service_account_token:
        wanted = source.service_account_token
        return [(wanted.path, File(tokens[wanted].encode(), default))]
    if source.downward_api:
        return _downward(pod, source.downward_api, default, facts)
    return []


def _entries(ref: Ref, source: FilesSource, mode: int, configs: Configs) -> Iterator[tuple[str, File]]:
    mode = mode if source.default_mode is None else source.default_mode
    found = configs.get(ref)
    if found is None:
        if source.optional:
            return
        raise VolumeError(missing(ref))
    entries = found.entries
    if not source.items:
        yield from ((key, File(data, mode)) for key, data in entries.items())
        return
    for item in source.items:
        if item.key in entries:
            yield item.path, File(entries[item.key], mode if item.mode is None else item.mode)
        elif not source.optional:
            kind = "config" if ref.kind == "ConfigMap" else "secret"
            raise VolumeError(f"references non-existent {kind} key: {item.key}")


def _downward(pod: Pod, source: DownwardSource, mode: int, facts: PodFacts) -> Iterator[tuple[str, File]]:
    mode = mode if source.default_mode is None else source.default_mode
    for item in source.items or []:
        if item.field_ref:
            text = resolve_field(pod, item.field_ref.field_path, facts)
        elif item.resource_field_ref:
            text = resolve_resource(pod, item.resource_field_ref, None, facts)
        else:
            raise VolumeError(f"downwardAPI item {item.path}: names neither fieldRef nor resourceFieldRef")
        yield item.path, File(text.encode(), mode if item.mode is None else item.mode)


def _checked(path: str) -> str:
    """Only paths below the volume: the API refuses others, but a file name is never taken on trust."""
    parts = path.split("/")
    if not path or path.startswith("/") or any(part in ("", ".", "..") for part in parts) or parts[0].startswith(".."):
        raise VolumeError(f"invalid path {path!r}: must be relative, without .. and empty parts")
    return path
