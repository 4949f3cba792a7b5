"""Warnings about pods and templates that are valid and probably not what was meant (pkg/api/pod/warnings.go).

Only what Seamark acts on: hidden environment variables, ports named or numbered twice, pull secrets and host aliases
listed twice, names that make no hostname.
"""

from __future__ import annotations

from collections.abc import Iterator

from seamark.machinery.names import validate_dns1123_label
from seamark.resources.access import entries, section, text
from seamark.resources.addresses import ip_warnings
from seamark.resources.core.podspec_defaults import CONTAINER_LISTS
from seamark.resources.registry import Obj


def pod_warnings(pod: Obj) -> list[str]:
    wrong = validate_dns1123_label(text(pod, "metadata", "name"))
    said = []
    if wrong:
        said.append(
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; "
            f"a DNS label is recommended: [{' '.join(wrong)}]"
        )
    return said + spec_warnings("spec", section(pod, "spec"))


def spec_warnings(path: str, spec: Obj) -> list[str]:
    """``path`` is that of the pod's spec: ``spec`` or ``spec.template.spec``."""
    said = _repeated(f"{path}.hostAliases", entries(spec, "hostAliases"), "ip")
    said += _repeated(f"{path}.imagePullSecrets", entries(spec, "imagePullSecrets"), "name")
    said += [
        f'{path}.imagePullSecrets[{i}].name: invalid empty name ""'
        for i, secret in enumerate(entries(spec, "imagePullSecrets"))
        if not text(secret, "name")
    ]
    for where, container in _containers(path, spec):
        said += _hidden_variables(f"{where}.env", entries(container, "env"))
    said += _ports(path, spec)
    grace = spec.get("terminationGracePeriodSeconds")
    if isinstance(grace, int) and grace < 0:
        said.append(
            f"{path}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"
        )
    for i, server in enumerate(entries(spec, "dnsConfig", "nameservers")):
        said += ip_warnings(f"{path}.dnsConfig.nameservers[{i}]", server)
    for i, alias in enumerate(entries(spec, "hostAliases")):
        said += ip_warnings(f"{path}.hostAliases[{i}].ip", text(alias, "ip"))
    return said


def _containers(path: str, spec: Obj) -> Iterator[tuple[str, Obj]]:
    for kind in CONTAINER_LISTS:
        for i, container in enumerate(entries(spec, kind)):
            yield f"{path}.{kind}[{i}]", container


def _repeated(path: str, listed: list[Obj], name: str) -> list[str]:
    values = [text(item, name) for item in listed]
    return [
        f'{path}[{i}].{name}: duplicate {name} "{value}"'
        for i, value in enumerate(values)
        if value and value in values[:i]
    ]


def _hidden_variables(path: str, variables: list[Obj]) -> list[str]:
    """A second definition that does not build on the first; ``apply`` merges by name and keeps only one."""
    said = []
    seen: set[str] = set()
    for i, variable in enumerate(variables):
        name, value = text(variable, "name"), text(variable, "value")
        reference = f"$({name})"
        hides = variable.get("valueFrom") is not None or value == reference or reference not in value
        if name in seen and hides:
            said.append(f'{path}[{i}]: hides previous definition of "{name}", which may be dropped when using apply')
        seen.add(name)
    return said


def _ports(path: str, spec: Obj) -> list[str]:
    said = []
    numbers: dict[tuple[object, ...], str] = {}
    by_name: dict[str, str] = {}
    for where, container in _containers(path, spec):
        for i, port in enumerate(entries(container, "ports")):
            at, name = f"{where}.ports[{i}]", text(port, "name")
            same = (port.get("containerPort"), port.get("protocol"), text(port, "hostIP"), port.get("hostPort") or 0)
            if same in numbers:
                said.append(f"{at}: duplicate port definition with {numbers[same]}")
            numbers.setdefault(same, at)
            if name and name in by_name:
                other = by_name[name]
                said.append(
                    f'{at}: duplicate port name "{name}" with {other}, '
                    f"services and probes that select ports by name will use {other}"
                )
            by_name.setdefault(name, at)
    return said
