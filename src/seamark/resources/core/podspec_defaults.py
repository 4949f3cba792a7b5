"""Defaults of a pod's spec, shared by pods and by the templates of workloads (pkg/apis/core/v1/defaults.go).

``default_pod_spec`` is what templates show too; ``default_pod`` adds what Kubernetes fills in for pods alone, so that
a template does not change its hash when a new default appears.
"""

from __future__ import annotations

import re

from seamark.resources.access import default, drop_empty, ensure, entries, section
from seamark.resources.registry import Obj

FILE_MODE = 420  # 0644
TOKEN_SECONDS = 3600
GRACE_SECONDS = 30
_PATH = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_DOMAIN = r"(?:[A-Za-z0-9]+(?:[.-]+[A-Za-z0-9]+)*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_IMAGE = re.compile(
    rf"(?:{_DOMAIN}/)?{_PATH}(?:/{_PATH})*(?::(?P<tag>[\w][\w.-]{{0,127}}))?(?:@(?P<digest>[A-Za-z][\w+.-]*:[0-9a-fA-F]+))?",
    re.ASCII,
)
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
CONTAINER_LISTS = ("initContainers", "containers")


def default_pod_spec(spec: Obj) -> None:
    default(spec, "restartPolicy", "Always")
    default(spec, "terminationGracePeriodSeconds", GRACE_SECONDS)
    default(spec, "dnsPolicy", "ClusterFirst")
    default(spec, "securityContext", {})
    default(spec, "schedulerName", "default-scheduler")
    _mirror_service_account(spec)
    for name in CONTAINER_LISTS:
        for container in entries(spec, name):
            default_container(container)
    for volume in entries(spec, "volumes"):
        _default_volume(volume)
    drop_empty(spec, "nodeName", "hostname", "subdomain", "volumes", "initContainers", "nodeSelector", "tolerations")
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name) is False:
            del spec[name]


def _mirror_service_account(spec: Obj) -> None:
    """``serviceAccount`` is the older name of the same field; both are written."""
    name = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if name:
        spec["serviceAccountName"] = spec["serviceAccount"] = name
    else:
        drop_empty(spec, "serviceAccountName", "serviceAccount")


def default_container(container: Obj) -> None:
    default(container, "terminationMessagePath", "/dev/termination-log")
    default(container, "terminationMessagePolicy", "File")
    default(container, "imagePullPolicy", pull_policy_of(str(container.get("image") or "")))
    default(container, "resources", {})
    for port in entries(container, "ports"):
        default(port, "protocol", "TCP")
        drop_empty(port, "hostPort", "hostIP", "name")
    for variable in entries(container, "env"):
        _default_field_ref(section(variable, "valueFrom"))
        drop_empty(variable, "value")
    for probe in PROBES:
        if isinstance(container.get(probe), dict):
            _default_probe(container[probe])
    for moment in ("postStart", "preStop"):
        _default_http_get(section(container, "lifecycle", moment))


def pull_policy_of(image: str) -> str:
    """Always for ``latest``, which no tag means too; a digest never changes and is no tag.

    The grammar is that of github.com/distribution/reference; what it does not accept is not looked at for a tag.
    """
    found = _IMAGE.fullmatch(image)
    if found is None:
        return "IfNotPresent"
    tag, digest = found["tag"], found["digest"]
    return "Always" if tag == "latest" or (not tag and not digest) else "IfNotPresent"


def _default_probe(probe: Obj) -> None:
    for name, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        if not probe.get(name):
            probe[name] = value
    drop_empty(probe, "initialDelaySeconds")
    _default_http_get(probe)
    if isinstance(probe.get("grpc"), dict):
        default(probe["grpc"], "service", "")


def _default_http_get(handler: Obj) -> None:
    if isinstance(handler.get("httpGet"), dict):
        default(handler["httpGet"], "path", "/")
        default(handler["httpGet"], "scheme", "HTTP")


def _default_field_ref(source: Obj) -> None:
    if isinstance(source.get("fieldRef"), dict):
        default(source["fieldRef"], "apiVersion", "v1")
    if isinstance(source.get("resourceFieldRef"), dict):
        default(source["resourceFieldRef"], "divisor", "0")


def _default_volume(volume: Obj) -> None:
    if not any(value is not None for name, value in volume.items() if name != "name"):
        volume["emptyDir"] = {}
    for name in ("secret", "configMap", "projected", "downwardAPI"):
        if isinstance(volume.get(name), dict):
            default(volume[name], "defaultMode", FILE_MODE)
    for item in entries(volume, "downwardAPI", "items"):
        _default_field_ref(item)
    for source in entries(volume, "projected", "sources"):
        for item in entries(source, "downwardAPI", "items"):
            _default_field_ref(item)
        if isinstance(source.get("serviceAccountToken"), dict):
            default(source["serviceAccountToken"], "expirationSeconds", TOKEN_SECONDS)
    if isinstance(volume.get("hostPath"), dict):
        volume["hostPath"].setdefault("type", "")
    if isinstance(volume.get("image"), dict):
        image = volume["image"]
        default(image, "pullPolicy", pull_policy_of(str(image.get("reference") or "")))


def default_pod(pod: Obj) -> None:
    spec = ensure(pod, "spec")
    default_pod_spec(spec)
    default(spec, "enableServiceLinks", True)
    if spec["terminationGracePeriodSeconds"] < 0:
        spec["terminationGracePeriodSeconds"] = 1
    for name in CONTAINER_LISTS:
        for container in entries(spec, name):
            _default_requests(container["resources"])
            if spec.get("hostNetwork"):
                for port in entries(container, "ports"):
                    default(port, "hostPort", port.get("containerPort"))
    for container in entries(spec, "ephemeralContainers"):
        default_container(container)
    default(ensure(pod, "status"), "phase", "Pending")


def _default_requests(resources: Obj) -> None:
    """A limit without a request is a request too."""
    limits = section(resources, "limits")
    if limits:
        resources["requests"] = {**limits, **section(resources, "requests")}
