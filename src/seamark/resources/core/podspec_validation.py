"""Validation of a pod's spec and of pod templates, in the order and words of pkg/apis/core/validation.

Affinity, topology spread, security contexts, resource claims, overhead and OS are accepted as they are: nothing in
Seamark acts on them yet.
"""

from __future__ import annotations

from typing import Any

from seamark.machinery import names
from seamark.resources import field
from seamark.resources.access import entries, section, text
from seamark.resources.addresses import validate_ip
from seamark.resources.core.container_validation import (
    validate_containers,
    validate_descending_path,
    validate_field_ref,
    validate_init_containers,
)
from seamark.resources.metadata import validate_annotations, validate_labels
from seamark.resources.registry import Causes, Obj

RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
MAX_NAMESERVERS, MAX_SEARCHES, MAX_SEARCH_CHARS = 3, 32, 2048
MAX_INT32 = 2**31 - 1
DOWNWARD_FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")


def validate_pod_template(path: str, template: Obj) -> Causes:
    meta = section(template, "metadata")
    causes = validate_labels(f"{path}.labels", section(meta, "labels"))
    causes += validate_annotations(f"{path}.annotations", section(meta, "annotations"))
    causes += validate_pod_spec(f"{path}.spec", section(template, "spec"), is_pod=False)
    if entries(template, "spec", "ephemeralContainers"):
        detail = "ephemeral containers not allowed in pod template"
        causes.append(field.forbidden(f"{path}.spec.ephemeralContainers", detail))
    return causes


def validate_pod_spec(path: str, spec: Obj, *, is_pod: bool) -> Causes:
    """``is_pod`` False for a template, where a host port may still be left to the default."""
    volumes, causes = _validate_volumes(f"{path}.volumes", entries(spec, "volumes"))
    containers, init_containers = entries(spec, "containers"), entries(spec, "initContainers")
    causes += validate_containers(f"{path}.containers", containers, volumes)
    causes += validate_init_containers(f"{path}.initContainers", init_containers, containers, volumes)
    causes += _validate_host_network(path, spec, is_pod=is_pod)
    if spec.get("restartPolicy") not in RESTART_POLICIES:
        causes.append(field.not_supported(f"{path}.restartPolicy", spec.get("restartPolicy", ""), RESTART_POLICIES))
    if spec.get("dnsPolicy") not in DNS_POLICIES:
        causes.append(field.not_supported(f"{path}.dnsPolicy", spec.get("dnsPolicy", ""), DNS_POLICIES))
    causes += validate_labels(f"{path}.nodeSelector", section(spec, "nodeSelector"))
    causes += _validate_dns_config(f"{path}.dnsConfig", spec)
    causes += _validate_names(path, spec)
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None:
        causes += field.in_range(f"{path}.activeDeadlineSeconds", deadline, 1, MAX_INT32)
    for i, toleration in enumerate(entries(spec, "tolerations")):
        causes += _validate_toleration(field.index(f"{path}.tolerations", i), toleration)
    for i, alias in enumerate(entries(spec, "hostAliases")):
        at = field.index(f"{path}.hostAliases", i)
        causes += validate_ip(f"{at}.ip", text(alias, "ip"))
        for j, name in enumerate(entries(alias, "hostnames")):
            causes += field.invalids(f"{at}.hostnames[{j}]", name, names.validate_dns1123_subdomain(name))
    if spec.get("preemptionPolicy"):
        supported = ("PreemptLowerPriority", "Never")
        causes += field.one_of(f"{path}.preemptionPolicy", spec["preemptionPolicy"], supported)
    return causes


def _validate_names(path: str, spec: Obj) -> Causes:
    causes: Causes = []
    checks = (
        ("serviceAccountName", names.validate_dns1123_subdomain),
        ("nodeName", names.validate_dns1123_subdomain),
        ("hostname", names.validate_dns1123_label),
        ("subdomain", names.validate_dns1123_label),
        ("priorityClassName", names.validate_dns1123_subdomain),
        ("runtimeClassName", names.validate_dns1123_subdomain),
    )
    for name, check in checks:
        value = text(spec, name)
        if value:
            causes += field.invalids(f"{path}.{name}", value, check(value))
    return causes


def _validate_host_network(path: str, spec: Obj, *, is_pod: bool) -> Causes:
    if not spec.get("hostNetwork"):
        return []
    return [
        field.invalid(
            f"{path}.containers[{i}].ports[{j}].hostPort",
            port.get("hostPort") or 0,
            "must match `containerPort` when `hostNetwork` is true",
        )
        for i, container in enumerate(entries(spec, "containers"))
        for j, port in enumerate(entries(container, "ports"))
        if (is_pod or port.get("hostPort")) and port.get("hostPort") != port.get("containerPort")
    ]


def _validate_dns_config(path: str, spec: Obj) -> Causes:
    config = section(spec, "dnsConfig")
    servers, searches = entries(config, "nameservers"), entries(config, "searches")
    if spec.get("dnsPolicy") == "None":
        if spec.get("dnsConfig") is None:
            return [field.required(path, "must provide `dnsConfig` when `dnsPolicy` is None")]
        if not servers:
            detail = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            return [field.required(f"{path}.nameservers", detail)]
    causes: Causes = []
    if len(servers) > MAX_NAMESERVERS:
        detail = f"must not have more than {MAX_NAMESERVERS} nameservers"
        causes.append(field.invalid(f"{path}.nameservers", servers, detail))
    for i, server in enumerate(servers):
        causes += validate_ip(field.index(f"{path}.nameservers", i), server)
    if len(searches) > MAX_SEARCHES:
        detail = f"must not have more than {MAX_SEARCHES} search paths"
        causes.append(field.invalid(f"{path}.searches", searches, detail))
    if len(" ".join(searches)) > MAX_SEARCH_CHARS:
        detail = f"must not have more than {MAX_SEARCH_CHARS} characters (including spaces) in the search list"
        causes.append(field.invalid(f"{path}.searches", searches, detail))
    for i, search in enumerate(searches):
        # A lone dot is the root; an underscore is allowed, as in _tcp.example.com.
        name = search.removesuffix(".").replace("_", "-")
        if search != "." and names.validate_dns1123_subdomain(_inner(name)):
            messages = names.validate_dns1123_subdomain(search.removesuffix("."))
            causes += field.invalids(field.index(f"{path}.searches", i), search.removesuffix("."), messages)
    for i, option in enumerate(entries(config, "options")):
        if not text(option, "name"):
            causes.append(field.required(field.index(f"{path}.options", i), "must not be empty"))
    return causes


def _inner(name: str) -> str:
    """Labels may begin with an underscore, here already a dash, which the plain rule would refuse."""
    return ".".join(label.removeprefix("-") or label for label in name.split("."))


def _validate_toleration(path: str, toleration: Obj) -> Causes:
    key, value = text(toleration, "key"), text(toleration, "value")
    operator, effect = text(toleration, "operator"), text(toleration, "effect")
    causes: Causes = []
    if key:
        causes += field.invalids(f"{path}.key", key, names.validate_qualified_name(key))
    elif operator != "Exists":
        detail = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        causes.append(field.invalid(f"{path}.operator", operator, detail))
    if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
        detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
        causes.append(field.invalid(f"{path}.effect", effect, detail))
    if operator in ("", "Equal"):
        wrong = names.validate_label_value(value)
        if wrong:
            causes.append(field.invalid(f"{path}.operator", value, ";".join(wrong)))
    elif operator != "Exists":
        causes.append(field.not_supported(f"{path}.operator", operator, ("Equal", "Exists")))
    elif value:
        causes.append(field.invalid(f"{path}.operator", value, "value must be empty when `operator` is 'Exists'"))
    if effect and effect not in TAINT_EFFECTS:
        causes.append(field.not_supported(f"{path}.effect", effect, TAINT_EFFECTS))
    return causes


def _validate_volumes(path: str, volumes: list[Obj]) -> tuple[dict[str, Obj], Causes]:
    """The good volumes by name, for the mounts to refer to, and what is wrong with the others."""
    found: dict[str, Obj] = {}
    causes: Causes = []
    for i, volume in enumerate(volumes):
        at = field.index(path, i)
        name = text(volume, "name")
        wrong = _validate_source(at, volume)
        if not name:
            wrong.append(field.required(f"{at}.name"))
        else:
            wrong += field.invalids(f"{at}.name", name, names.validate_dns1123_label(name))
        if name in found:
            wrong.append(field.duplicate(f"{at}.name", name))
        if not wrong:
            found[name] = volume
        causes += wrong
    return found, causes


def _validate_source(path: str, volume: Obj) -> Causes:
    given = [name for name, value in volume.items() if name != "name" and value is not None]
    if not given:
        return [field.required(path, "must specify a volume type")]
    first, *more = given
    causes: Causes = [field.forbidden(f"{path}.{name}", "may not specify more than 1 volume type") for name in more]
    source, at = section(volume, first), f"{path}.{first}"
    match first:
        case "secret":
            causes += [] if text(source, "secretName") else [field.required(f"{at}.secretName")]
            causes += _validate_items(at, entries(source, "items"))
        case "configMap":
            causes += [] if text(source, "name") else [field.required(f"{at}.name")]
            causes += _validate_items(at, entries(source, "items"))
        case "hostPath":
            causes += [] if text(source, "path") else [field.required(f"{at}.path")]
        case "persistentVolumeClaim":
            causes += [] if text(source, "claimName") else [field.required(f"{at}.claimName")]
        case "projected":
            for i, projection in enumerate(entries(source, "sources")):
                causes += _validate_projection(f"{at}.sources[{i}]", projection)
        case "downwardAPI":
            causes += _validate_downward(at, entries(source, "items"))
    if first in ("secret", "configMap", "projected", "downwardAPI"):
        causes += _validate_mode(f"{at}.defaultMode", source.get("defaultMode"))
    return causes


def _validate_mode(path: str, mode: Any) -> Causes:
    if mode is None or 0 <= mode <= 0o777:
        return []
    return [field.invalid(path, mode, "must be a number between 0 and 0777 (octal), both inclusive")]


def _validate_items(path: str, items: list[Obj]) -> Causes:
    causes: Causes = []
    for i, item in enumerate(items):
        at = f"{path}.items[{i}]"
        if not text(item, "key"):
            causes.append(field.required(f"{at}.key"))
        if not text(item, "path"):
            causes.append(field.required(f"{at}.path"))
        causes += validate_descending_path(f"{at}.path", text(item, "path"))
        causes += _validate_mode(f"{at}.mode", item.get("mode"))
    return causes


def _validate_downward(path: str, items: list[Obj]) -> Causes:
    causes: Causes = []
    for i, item in enumerate(items):
        at = f"{path}.items[{i}]"
        if not text(item, "path"):
            causes.append(field.required(f"{at}.path"))
        causes += validate_descending_path(f"{at}.path", text(item, "path"))
        if item.get("fieldRef") is not None:
            causes += validate_field_ref(f"{at}.fieldRef", item["fieldRef"], DOWNWARD_FIELDS)
        elif item.get("resourceFieldRef") is None:
            causes.append(field.required(at, "one of fieldRef and resourceFieldRef is required"))
    return causes


def _validate_projection(path: str, projection: Obj) -> Causes:
    causes: Causes = []
    for name in ("secret", "configMap"):
        source = projection.get(name)
        if source is not None:
            causes += [] if text(source, "name") else [field.required(f"{path}.{name}.name")]
            causes += _validate_items(f"{path}.{name}", entries(source, "items"))
    if projection.get("downwardAPI") is not None:
        causes += _validate_downward(f"{path}.downwardAPI", entries(projection, "downwardAPI", "items"))
    token = projection.get("serviceAccountToken")
    if token is not None:
        at = f"{path}.serviceAccountToken"
        if not text(token, "path"):
            causes.append(field.required(f"{at}.path"))
        if (token.get("expirationSeconds") or 0) < 600:
            detail = "may not specify a duration less than 10 minutes"
            causes.append(field.invalid(f"{at}.expirationSeconds", token.get("expirationSeconds"), detail))
    return causes
