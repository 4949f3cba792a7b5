"""Validation of containers: names, images, ports, environment, mounts, probes, lifecycle, resources.

In the order and words of pkg/apis/core/validation. Not checked here, because Seamark refuses or ignores what they say
at run time: security contexts, resize policies, volume devices, claims.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from seamark.machinery import names
from seamark.machinery.quantity import QuantityError, parse_quantity
from seamark.resources import field
from seamark.resources.access import entries, number, section, text
from seamark.resources.core.service_validation import PROTOCOLS, validate_port_or_name
from seamark.resources.registry import Causes, Obj

_HEADER = re.compile("[-A-Za-z0-9]+")
_HEADER_RULE = (
    "a valid HTTP header must consist of alphanumeric characters or '-' "
    "(e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')"
)
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
SCHEMES = ("HTTP", "HTTPS")
RESOURCES = ("cpu", "ephemeral-storage", "memory")
ENV_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
ENV_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
RESOURCE_FIELDS = tuple(f"{kind}.{name}" for kind in ("limits", "requests") for name in RESOURCES)
HUGE_PAGES = ("limits.hugepages-", "requests.hugepages-")
HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
ONE_HANDLER = "may not specify more than 1 handler type"
ONLY_SIDECARS = "may not be set for init containers without restartPolicy=Always"


def validate_containers(path: str, containers: list[Obj], volumes: Mapping[str, Obj]) -> Causes:
    if not containers:
        return [field.required(path)]
    causes: Causes = []
    seen: set[str] = set()
    for i, container in enumerate(containers):
        at = field.index(path, i)
        causes += validate_container(at, container, volumes)
        causes += _validate_unique_name(at, container, seen)
        causes += validate_hooks(at, container)
    return causes + _validate_host_ports(path, containers)


def validate_init_containers(
    path: str, containers: list[Obj], regular: list[Obj], volumes: Mapping[str, Obj]
) -> Causes:
    causes: Causes = []
    seen = {text(container, "name") for container in regular}
    for i, container in enumerate(containers):
        at = field.index(path, i)
        causes += validate_container(at, container, volumes)
        policy = container.get("restartPolicy")
        if policy not in (None, "Always", "Never", "OnFailure"):
            causes.append(field.not_supported(f"{at}.restartPolicy", policy, ("Always", "Never", "OnFailure")))
        causes += _validate_unique_name(at, container, seen)
        causes += _validate_host_ports(path, [container])
        if policy == "Always":
            causes += validate_hooks(at, container)
            continue
        for name in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
            if container.get(name) is not None:
                causes.append(field.forbidden(f"{at}.{name}", ONLY_SIDECARS))
    return causes


def _validate_unique_name(path: str, container: Obj, seen: set[str]) -> Causes:
    name = text(container, "name")
    if name and name in seen:
        return [field.duplicate(f"{path}.name", name)]
    seen.add(name)
    return []


def validate_container(path: str, container: Obj, volumes: Mapping[str, Obj]) -> Causes:
    """What every kind of container is checked for. ``volumes`` are the pod's, by name."""
    causes: Causes = []
    name = text(container, "name")
    if name:
        causes += field.invalids(f"{path}.name", name, names.validate_dns1123_label(name))
    else:
        causes.append(field.required(f"{path}.name"))
    if not text(container, "image"):
        causes.append(field.required(f"{path}.image"))
    policy = container.get("terminationMessagePolicy", "")
    if policy not in MESSAGE_POLICIES:
        causes.append(field.not_supported(f"{path}.terminationMessagePolicy", policy, MESSAGE_POLICIES))
    causes += _validate_ports(f"{path}.ports", entries(container, "ports"))
    causes += _validate_env(f"{path}.env", entries(container, "env"))
    causes += _validate_env_from(f"{path}.envFrom", entries(container, "envFrom"))
    causes += _validate_mounts(f"{path}.volumeMounts", entries(container, "volumeMounts"), volumes)
    causes += field.one_of(f"{path}.imagePullPolicy", container.get("imagePullPolicy", ""), PULL_POLICIES)
    return causes + _validate_resources(f"{path}.resources", section(container, "resources"))


def _validate_ports(path: str, ports: list[Obj]) -> Causes:
    causes: Causes = []
    seen: set[str] = set()
    for i, port in enumerate(ports):
        at = field.index(path, i)
        name = text(port, "name")
        if name:
            wrong = field.invalids(f"{at}.name", name, names.validate_port_name(name))
            causes += wrong or ([field.duplicate(f"{at}.name", name)] if name in seen else [])
            seen.add(name)
        if not port.get("containerPort"):
            causes.append(field.required(f"{at}.containerPort"))
        else:
            causes += field.port_number(f"{at}.containerPort", port["containerPort"])
        if port.get("hostPort"):
            causes += field.port_number(f"{at}.hostPort", port["hostPort"])
        causes += field.one_of(f"{at}.protocol", port.get("protocol", ""), PROTOCOLS)
    return causes


def _validate_host_ports(path: str, containers: list[Obj]) -> Causes:
    causes: Causes = []
    seen: set[str] = set()
    for i, container in enumerate(containers):
        for j, port in enumerate(entries(container, "ports")):
            if not port.get("hostPort"):
                continue
            taken = f"{port.get('protocol')}/{text(port, 'hostIP')}/{port['hostPort']}"
            if taken in seen:
                causes.append(field.duplicate(f"{path}[{i}].ports[{j}].hostPort", taken))
            seen.add(taken)
    return causes


def _validate_env(path: str, variables: list[Obj]) -> Causes:
    causes: Causes = []
    for i, variable in enumerate(variables):
        at = field.index(path, i)
        name = text(variable, "name")
        if name:
            causes += field.invalids(f"{at}.name", name, names.validate_env_name(name))
        else:
            causes.append(field.required(f"{at}.name"))
        if variable.get("valueFrom") is not None:
            causes += _validate_value_from(f"{at}.valueFrom", variable["valueFrom"], text(variable, "value"))
    return causes


def _validate_value_from(path: str, source: Obj, value: str) -> Causes:
    causes: Causes = []
    given = [name for name in ENV_SOURCES if source.get(name) is not None]
    if "fieldRef" in given:
        causes += validate_field_ref(f"{path}.fieldRef", source["fieldRef"], ENV_FIELDS)
    if "resourceFieldRef" in given:
        causes += validate_resource_ref(f"{path}.resourceFieldRef", source["resourceFieldRef"])
    for name in ("configMapKeyRef", "secretKeyRef"):
        if name in given:
            causes += _validate_key_ref(f"{path}.{name}", source[name])
    if not given:
        listed = "`fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        causes.append(field.invalid(path, "", f"must specify one of: {listed}"))
    elif value:
        causes.append(field.invalid(path, "", "may not be specified when `value` is not empty"))
    elif len(given) > 1:
        causes.append(field.invalid(path, "", "may not have more than one field specified at a time"))
    return causes


def validate_field_ref(path: str, ref: Obj, supported: Iterable[str]) -> Causes:
    """A downward API field: one of ``supported``, or an annotation or label by key."""
    given = text(ref, "fieldPath")
    if not given:
        return [field.required(f"{path}.fieldPath")]
    base, bracket, rest = given.partition("['")
    if bracket and rest.endswith("']"):
        key = rest.removesuffix("']")
        if base not in ("metadata.annotations", "metadata.labels"):
            return [field.invalid(f"{path}.fieldPath", given, f"error converting fieldPath: {_no_subscript(base)}")]
        return field.invalids(path, key, names.validate_qualified_name(key.lower() if "annot" in base else key))
    known = ("metadata.annotations", "metadata.labels", "spec.nodeName", "spec.restartPolicy", *supported)
    if given not in known:
        detail = f"error converting fieldPath: field label not supported: {given}"
        return [field.invalid(f"{path}.fieldPath", given, detail)]
    return field.one_of(f"{path}.fieldPath", given, supported)


def _no_subscript(base: str) -> str:
    return f"field label does not support subscript: {base}"


def validate_resource_ref(path: str, ref: Obj) -> Causes:
    resource = text(ref, "resource")
    if not resource:
        return [field.required(f"{path}.resource")]
    if resource.startswith(HUGE_PAGES):
        return []
    return field.one_of(f"{path}.resource", resource, RESOURCE_FIELDS)


def _validate_key_ref(path: str, ref: Obj) -> Causes:
    name, key = text(ref, "name"), text(ref, "key")
    causes = field.invalids(f"{path}.name", name, names.validate_dns1123_subdomain(name))
    if not key:
        return [*causes, field.required(f"{path}.key")]
    return causes + field.invalids(f"{path}.key", key, names.validate_config_key(key))


def _validate_env_from(path: str, sources: list[Obj]) -> Causes:
    causes: Causes = []
    for i, source in enumerate(sources):
        at = field.index(path, i)
        prefix = text(source, "prefix")
        if prefix:
            causes += field.invalids(f"{at}.prefix", prefix, names.validate_env_name(prefix))
        given = [name for name in ("configMapRef", "secretRef") if source.get(name) is not None]
        for name in given:
            ref, where = text(source[name], "name"), f"{at}.{name}.name"
            if not ref:
                causes.append(field.required(where))
            else:
                causes += field.invalids(where, ref, names.validate_dns1123_subdomain(ref, prefix=True))
        if not given:
            causes.append(field.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif len(given) > 1:
            causes.append(field.invalid(path, "", "may not have more than one field specified at a time"))
    return causes


def _validate_mounts(path: str, mounts: list[Obj], volumes: Mapping[str, Obj]) -> Causes:
    causes: Causes = []
    seen: set[str] = set()
    for i, mount in enumerate(mounts):
        at = field.index(path, i)
        name, mount_path = text(mount, "name"), text(mount, "mountPath")
        if not name:
            causes.append(field.required(f"{at}.name"))
        if name not in volumes:
            causes.append(field.not_found(f"{at}.name", name))
        if not mount_path:
            causes.append(field.required(f"{at}.mountPath"))
        if mount_path in seen:
            causes.append(field.invalid(f"{at}.mountPath", mount_path, "must be unique"))
        seen.add(mount_path)
        causes += validate_descending_path(f"{path}.subPath", text(mount, "subPath"))
    return causes


def validate_descending_path(path: str, value: str) -> Causes:
    """Relative, and never upwards: it is joined to a directory on the node."""
    causes: Causes = []
    if value.startswith("/"):
        causes.append(field.invalid(path, value, "must be a relative path"))
    return causes + validate_no_backsteps(path, value)


def validate_no_backsteps(path: str, value: str) -> Causes:
    return [field.invalid(path, value, "must not contain '..'")] if ".." in value.split("/") else []


def validate_hooks(path: str, container: Obj) -> Causes:
    """Lifecycle and probes, where a container may have them."""
    causes: Causes = []
    for moment in ("postStart", "preStop"):
        handler = section(container, "lifecycle").get(moment)
        if handler is not None:
            causes += _validate_handler(f"{path}.lifecycle.{moment}", handler)
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(name)
        if probe is not None:
            causes += _validate_probe(f"{path}.{name}", probe, is_readiness=name == "readinessProbe")
    return causes


def _validate_probe(path: str, probe: Obj, *, is_readiness: bool) -> Causes:
    causes = _validate_handler(path, probe)
    for name in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        causes += field.not_negative(f"{path}.{name}", probe.get(name))
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None and grace <= 0:
        causes.append(field.invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0"))
    if is_readiness:
        if grace is not None:
            detail = "must not be set for readinessProbes"
            causes.append(field.invalid(f"{path}.terminationGracePeriodSeconds", grace, detail))
    elif probe.get("successThreshold") != 1:
        causes.append(field.invalid(f"{path}.successThreshold", probe.get("successThreshold"), "must be 1"))
    return causes


def _validate_handler(path: str, handler: Obj) -> Causes:
    given = [name for name in HANDLERS if handler.get(name) is not None]
    if not given:
        return [field.required(path, "must specify a handler type")]
    first, *more = given
    check = _HANDLER_CHECKS.get(first)
    causes = check(f"{path}.{first}", handler[first]) if check else []
    return causes + [field.forbidden(f"{path}.{name}", ONE_HANDLER) for name in more]


def _validate_exec(path: str, action: Obj) -> Causes:
    return [] if entries(action, "command") else [field.required(f"{path}.command")]


def _validate_http_get(path: str, action: Obj) -> Causes:
    causes = [] if text(action, "path") else [field.required(f"{path}.path")]
    causes += validate_port_or_name(f"{path}.port", action.get("port", 0))
    causes += field.one_of(f"{path}.scheme", action.get("scheme", ""), SCHEMES)
    for header in entries(action, "httpHeaders"):
        name = text(header, "name")
        if not _HEADER.fullmatch(name):
            causes.append(field.invalid(f"{path}.httpHeaders", name, _HEADER_RULE))
    return causes


def _validate_tcp_socket(path: str, action: Obj) -> Causes:
    return validate_port_or_name(f"{path}.port", action.get("port", 0))


def _validate_grpc(path: str, action: Obj) -> Causes:
    return field.port_number(f"{path}.port", number(action, "port"))


_HANDLER_CHECKS: dict[str, Callable[[str, Obj], Causes]] = {
    "exec": _validate_exec,
    "httpGet": _validate_http_get,
    "tcpSocket": _validate_tcp_socket,
    "grpc": _validate_grpc,
}


def _validate_resources(path: str, resources: Obj) -> Causes:
    causes: Causes = []
    limits = section(resources, "limits")
    for kind in ("limits", "requests"):
        for name, value in section(resources, kind).items():
            at = field.index(f"{path}.{kind}", name)
            causes += validate_quantity(at, value)
    if causes:
        return causes
    for name, value in section(resources, "requests").items():
        if name in limits and parse_quantity(value) > parse_quantity(limits[name]):
            detail = f"must be less than or equal to {name} limit of {limits[name]}"
            causes.append(field.invalid(f"{path}.requests", value, detail))
    return causes


def validate_quantity(path: str, value: Any) -> Causes:
    try:
        amount = parse_quantity(value)
    except QuantityError as error:
        return [field.invalid(path, value, str(error))]
    if amount.value < 0:
        return [field.invalid(path, value, "must be greater than or equal to 0")]
    return []
