"""Validation of a pod's spec and of pod templates, in the order and words of pkg/apis/core/validation.

Affinity, topology spread, security contexts but for sysctls, resource claims, overhead and OS are accepted as they
are: nothing in Seamark acts on them yet.
"""

from __future__ import annotations

import re

from seamark.machinery import names
from seamark.resources import field
from seamark.resources.access import entries, section, text
from seamark.resources.addresses import validate_ip
from seamark.resources.core.container_validation import validate_containers, validate_init_containers
from seamark.resources.core.sysctl_validation import validate_sysctls
from seamark.resources.core.volume_validation import validate_volumes
from seamark.resources.metadata import validate_annotations, validate_labels
from seamark.resources.registry import Causes, Obj

_SEARCH_LABEL = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SEARCH = re.compile(rf"{_SEARCH_LABEL}(\.{_SEARCH_LABEL})*")
_SEARCH_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must "
    "start and end with an alphanumeric character "
    f"(e.g. 'example.com', regex used for validation is '{_SEARCH.pattern}')"
)
RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
PREEMPTION_POLICIES = ("PreemptLowerPriority", "Never")
MAX_NAMESERVERS, MAX_SEARCHES, MAX_SEARCH_CHARS = 3, 32, 2048
MAX_INT32 = 2**31 - 1


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
    volumes, causes = validate_volumes(f"{path}.volumes", entries(spec, "volumes"))
    containers, init_containers = entries(spec, "containers"), entries(spec, "initContainers")
    causes += validate_containers(f"{path}.containers", containers, volumes)
    causes += validate_init_containers(f"{path}.initContainers", init_containers, containers, volumes)
    causes += _validate_host_network(path, spec, is_pod=is_pod)
    if spec.get("restartPolicy") not in RESTART_POLICIES:
        causes.append(field.not_supported(f"{path}.restartPolicy", spec.get("restartPolicy", ""), RESTART_POLICIES))
    if spec.get("dnsPolicy") not in DNS_POLICIES:
        causes.append(field.not_supported(f"{path}.dnsPolicy", spec.get("dnsPolicy", ""), DNS_POLICIES))
    causes += validate_labels(f"{path}.nodeSelector", section(spec, "nodeSelector"))
    causes += validate_sysctls(path, spec)
    causes += _validate_dns_config(f"{path}.dnsConfig", spec)
    causes += _validate_names(path, spec)
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None:
        causes += field.in_range(f"{path}.activeDeadlineSeconds", deadline, 1, MAX_INT32)
    for i, toleration in enumerate(entries(spec, "tolerations")):
        causes += validate_toleration(field.index(f"{path}.tolerations", i), toleration)
    for i, alias in enumerate(entries(spec, "hostAliases")):
        at = field.index(f"{path}.hostAliases", i)
        causes += validate_ip(f"{at}.ip", text(alias, "ip"))
        for j, name in enumerate(entries(alias, "hostnames")):
            causes += field.invalids(f"{at}.hostnames[{j}]", name, names.validate_dns1123_subdomain(name))
    policy = spec.get("preemptionPolicy")
    if policy == "":
        causes.append(field.required(f"{path}.preemptionPolicy"))
    elif policy is not None and policy not in PREEMPTION_POLICIES:
        causes.append(field.not_supported(f"{path}.preemptionPolicy", policy, PREEMPTION_POLICIES))
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
    causes += _validate_searches(path, searches)
    for i, option in enumerate(entries(config, "options")):
        if not text(option, "name"):
            causes.append(field.required(field.index(f"{path}.options", i), "must not be empty"))
    return causes


def _validate_searches(path: str, searches: list[str]) -> Causes:
    causes: Causes = []
    if len(searches) > MAX_SEARCHES:
        detail = f"must not have more than {MAX_SEARCHES} search paths"
        causes.append(field.invalid(f"{path}.searches", searches, detail))
    if len(" ".join(searches)) > MAX_SEARCH_CHARS:
        detail = f"must not have more than {MAX_SEARCH_CHARS} characters (including spaces) in the search list"
        causes.append(field.invalid(f"{path}.searches", searches, detail))
    for i, search in enumerate(searches):
        name = search.removesuffix(".")
        at = field.index(f"{path}.searches", i)
        if len(name) > names.SUBDOMAIN_MAX:
            causes.append(field.invalid(at, name, f"must be no more than {names.SUBDOMAIN_MAX} characters"))
        if search != "." and not _SEARCH.fullmatch(name):  # a lone dot is the root
            causes.append(field.invalid(at, name, _SEARCH_RULE))
    return causes


def validate_toleration(path: str, toleration: Obj) -> Causes:
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
