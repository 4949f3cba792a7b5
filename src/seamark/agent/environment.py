"""The environment, command and arguments of a container about to start (pure).

The order and the meaning are kubelet's: what ``envFrom`` gives, then ``env`` in order (a later name wins), each value
with ``$(NAME)`` replaced by what came before it or by a Service variable; then the Service variables that ``env`` did
not name. Around that stands what the container runtime gives: PATH, HOSTNAME and the image's own variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from seamark.agent.configdata import Configs, Ref
from seamark.agent.downward import ConfigError, PodFacts, resolve_field, resolve_resource
from seamark.agent.podspec import Container, EnvFrom, EnvVar, EnvVarSource, KeyRef, NamedRef, Pod
from seamark.linux.runtime import Image

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Environment:
    """``skipped``: keys of envFrom that cannot be variable names, as ``ConfigMap/name key``."""

    variables: tuple[tuple[str, str], ...]
    argv: tuple[str, ...]
    working_dir: str
    skipped: tuple[str, ...] = ()


def expand(text: str, known: Mapping[str, str]) -> str:
    """Replaces ``$(NAME)``; an unknown name stays as it is written, ``$$`` is one dollar."""
    out: list[str] = []
    at = 0
    while (dollar := text.find("$", at)) >= 0:
        out.append(text[at:dollar])
        following = text[dollar + 1 : dollar + 2]
        close = text.find(")", dollar + 2) if following == "(" else -1
        if following == "$":
            out.append("$")
            at = dollar + 2
        elif close >= 0:
            name = text[dollar + 2 : close]
            out.append(known.get(name, f"$({name})"))
            at = close + 1
        else:
            out.append("$" + following)
            at = dollar + 1 + len(following)
    out.append(text[at:])
    return "".join(out)


def plan_environment(
    pod: Pod,
    container: Container,
    image: Image,
    *,
    services: Mapping[str, str],
    configs: Configs,
    facts: PodFacts,
) -> Environment:
    """Raises ConfigError where a reference that is not optional leads nowhere."""
    given: dict[str, str] = {}
    skipped: list[str] = []
    for source in container.env_from or []:
        entries, left_out = _imported(source, pod, configs)
        given.update(entries)
        skipped += left_out
    for var in container.env or []:
        value = _value(var, {**services, **given}, pod=pod, container=container, configs=configs, facts=facts)
        if value is not None:
            given[var.name] = value
    known = {**services, **given}
    base = {"PATH": PATH, "HOSTNAME": facts.hostname, **({"TERM": "xterm"} if container.tty else {})}
    variables = {**base, **dict(image.env), **given, **{k: v for k, v in services.items() if k not in given}}
    return Environment(
        variables=tuple(variables.items()),
        argv=plan_argv(container, image, known),
        working_dir=container.working_dir or image.working_dir or "/",
        skipped=tuple(skipped),
    )


def plan_argv(container: Container, image: Image, known: Mapping[str, str]) -> tuple[str, ...]:
    """``command`` replaces the image's entrypoint and its command; ``args`` alone replaces its command."""
    command = tuple(expand(word, known) for word in container.command or [])
    args = tuple(expand(word, known) for word in container.args or [])
    if command:
        return command + args
    argv = image.entrypoint + (args or image.command)
    if not argv:
        raise ConfigError(f"no command specified: image {image.name} has none and spec gives neither command nor args")
    return argv


def _value(
    var: EnvVar, known: Mapping[str, str], *, pod: Pod, container: Container, configs: Configs, facts: PodFacts
) -> str | None:
    """None: an optional reference that leads nowhere, so the variable is not set."""
    source = var.value_from
    if source is None:
        return expand(var.value, known)
    if source.field_ref:
        return resolve_field(pod, source.field_ref.field_path, facts)
    if source.resource_field_ref:
        return resolve_resource(pod, source.resource_field_ref, container, facts)
    return _from_key(source, pod.metadata.namespace, configs)


def _from_key(source: EnvVarSource, namespace: str, configs: Configs) -> str | None:
    if source.config_map_key_ref:
        return _key(Ref("ConfigMap", source.config_map_key_ref.name), source.config_map_key_ref, namespace, configs)
    if source.secret_key_ref:
        return _key(Ref("Secret", source.secret_key_ref.name), source.secret_key_ref, namespace, configs)
    raise ConfigError("valueFrom names none of fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef")


def _key(ref: Ref, wanted: KeyRef, namespace: str, configs: Configs) -> str | None:
    found = configs.get(ref)
    if found is None:
        if wanted.optional:
            return None
        raise ConfigError(missing(ref))
    if wanted.key not in found.texts:
        if wanted.optional:
            return None
        raise ConfigError(f"couldn't find key {wanted.key} in {ref.kind} {namespace}/{ref.name}")
    return found.texts[wanted.key].decode("utf-8", "replace")


def missing(ref: Ref) -> str:
    """As the API's own NotFound reads to a kubelet."""
    return f'{ref.kind.lower()} "{ref.name}" not found'


def _imported(source: EnvFrom, pod: Pod, configs: Configs) -> tuple[dict[str, str], list[str]]:
    named: NamedRef | None = source.config_map_ref or source.secret_ref
    if named is None:
        raise ConfigError("envFrom names neither configMapRef nor secretRef")
    ref = Ref("ConfigMap" if source.config_map_ref else "Secret", named.name)
    found = configs.get(ref)
    if found is None:
        if named.optional:
            return {}, []
        raise ConfigError(missing(ref))
    pairs = [(source.prefix + key, value.decode("utf-8", "replace")) for key, value in sorted(found.texts.items())]
    good = {key: value for key, value in pairs if _is_variable_name(key)}
    bad = [f"{ref.kind} {pod.metadata.namespace}/{ref.name} key {key!r}" for key, _ in pairs if key not in good]
    return good, bad


def _is_variable_name(name: str) -> bool:
    """Printable ASCII without ``=`` (the relaxed rule of Kubernetes 1.34)."""
    return bool(name) and all(" " <= c <= "~" and c != "=" for c in name)
