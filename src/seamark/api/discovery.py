"""Discovery: which groups, versions and resources there are, in the old form and the aggregated one.

kubectl takes its words, short names and verbs from here. The aggregated answer's Content-Type must be exactly the one
asked for, or clients read it as the old form. Everything is derived from the registry, with an ETag.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from seamark.api.config import ApiConfig
from seamark.api.negotiation import JSON, NO_TRANSFORMS, PROTOBUF, YAML, parse_accept, select_representation
from seamark.api.objects import encode
from seamark.api.routing import method_not_allowed
from seamark.api.yamltext import render_yaml
from seamark.machinery import protobuf
from seamark.machinery.gvr import GVR, version_priority
from seamark.machinery.wire import Request, Response
from seamark.resources.registry import Registry, Resource

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_SCALE = ("autoscaling", "v1", "Scale")
SUBRESOURCE_KINDS = {  # what a subresource takes or gives, where it is not the object itself
    "scale": _SCALE,
    "eviction": ("policy", "v1", "Eviction"),
    "binding": ("", "", "Binding"),
    "token": ("authentication.k8s.io", "v1", "TokenRequest"),
    "exec": ("", "", "PodExecOptions"),
    "attach": ("", "", "PodAttachOptions"),
    "portforward": ("", "", "PodPortForwardOptions"),
}
SUBRESOURCE_VERBS = {
    "approval": ("get", "patch", "update"),
    "status": ("get", "patch", "update"),
    "scale": ("get", "patch", "update"),
    "eviction": ("create",),
    "binding": ("create",),
    "token": ("create",),
    "exec": ("create", "get"),
    "attach": ("create", "get"),
    "portforward": ("create", "get"),
    "proxy": ("create", "delete", "get", "patch", "update"),
    "log": ("get",),
    "finalize": ("update",),
    "ephemeralcontainers": ("get", "patch", "update"),
}


def subresource_kind(subresource: str, gvr: GVR) -> tuple[str, str, str]:
    """Group, version and kind of what a subresource takes or gives."""
    if subresource == "proxy":
        return "", "", f"{gvr.kind}ProxyOptions"
    return SUBRESOURCE_KINDS.get(subresource, ("", "", gvr.kind))


class Discovery:
    """The documents of each group, rendered anew only when the group's custom kinds have changed."""

    def __init__(self, registry: Registry, config: ApiConfig) -> None:
        self._registry = registry
        self._config = config
        self._groups: dict[str, _Group] = {}
        self._serial = -1
        self._documents: dict[str, Any] = {}
        self._aggregated: dict[str, Any] = {}

    def respond(self, request: Request) -> Response | None:
        """None when the path is no discovery document."""
        if self._serial != self._registry.serial:
            self._renew()
        path = request.path.rstrip("/")
        document = self._documents.get(path)
        if document is None:
            return None
        if request.method != "GET":
            raise method_not_allowed()
        accept = request.headers.get("accept", "")
        if path in self._aggregated and _wants_aggregated(accept):
            return _respond(request, encode(self._aggregated[path]), AGGREGATED)
        media_type = select_representation(accept, transforms=NO_TRANSFORMS).media_type
        if media_type == YAML:
            return _respond(request, render_yaml(document), YAML)
        if media_type == PROTOBUF and "kind" in document:
            return _respond(request, protobuf.encode_body({"apiVersion": "v1", **document}), PROTOBUF)
        return _respond(request, encode(document), JSON)

    def _renew(self) -> None:
        registry, kept = self._registry, self._groups
        self._serial, self._groups = registry.serial, {}
        names = dict.fromkeys(group for group, _ in registry.group_versions())
        for name in sorted(names, key=lambda group: (group not in registry.builtin_groups, group)):  # custom ones last
            found, serial = kept.get(name), registry.group_serial(name)
            if found is None or found.serial != serial:
                found = _render_group(registry, name, serial)
            self._groups[name] = found
        self._documents = _join_documents(self._groups, self._config)
        items = {name: group.aggregated for name, group in self._groups.items()}
        self._aggregated = {
            "/api": _render_aggregated([item for name, item in items.items() if not name]),
            "/apis": _render_aggregated([item for name, item in items.items() if name]),
        }


class _Group(NamedTuple):
    serial: int
    group: dict[str, Any]  # as it stands in the APIGroupList
    documents: dict[str, Any]
    aggregated: dict[str, Any]


def _wants_aggregated(accept: str) -> bool:
    for clause in parse_accept(accept):
        asked = clause.parameters
        if asked.get("as") == "APIGroupDiscoveryList":
            if asked.get("g") == "apidiscovery.k8s.io" and asked.get("v") == "v2":
                return True
        elif clause.media_type in (JSON, YAML, "*/*"):
            return False
    return False


def _respond(request: Request, body: bytes, media_type: str) -> Response:
    etag = f'"{hashlib.sha512(body).hexdigest().upper()}"'
    headers = {"content-type": media_type, "etag": etag, "cache-control": "public", "vary": "Accept"}
    if request.headers.get("if-none-match") == etag:
        return Response(304, b"", headers)
    return Response(200, body, headers)


def _served(registry: Registry, group: str, version: str) -> list[tuple[Resource, GVR]]:
    found = [
        (row, gvr)
        for row in registry.rows
        for gvr in (row.gvr, *row.served_as)
        if (gvr.group, gvr.version) == (group, version)
    ]
    return sorted(found, key=lambda pair: pair[1].resource)


def _render_group(registry: Registry, group: str, serial: int) -> _Group:
    versions = [version for name, version in registry.group_versions() if name == group]
    versions.sort(key=version_priority, reverse=True)
    documents: dict[str, Any] = {}
    aggregated: list[dict[str, Any]] = []
    for version in versions:
        served = _served(registry, group, version)
        documents[f"/apis/{group}/{version}" if group else f"/api/{version}"] = {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": f"{group}/{version}" if group else version,
            "resources": [one for row, gvr in served for one in _render_resource(row, gvr)],
        }
        resources = [_render_aggregated_resource(row, gvr) for row, gvr in served]
        aggregated.append({"version": version, "resources": resources, "freshness": "Current"})
    found = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]
    rendered = {"name": group, "versions": found, "preferredVersion": found[0]}
    if group:
        documents[f"/apis/{group}"] = {"kind": "APIGroup", "apiVersion": "v1", **rendered}
    item = {"metadata": {"name": group} if group else {}, "versions": aggregated}
    return _Group(serial, rendered, documents, item)


def _join_documents(groups: Mapping[str, _Group], config: ApiConfig) -> dict[str, Any]:
    documents: dict[str, Any] = {}
    for one in groups.values():
        documents |= one.documents
    listed = [one.group for name, one in groups.items() if name]
    documents["/apis"] = {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}
    core = groups.get("")
    documents["/api"] = {
        "kind": "APIVersions",
        "versions": [version["version"] for version in core.group["versions"]] if core else [],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": config.advertise_address}],
    }
    paths = sorted([*documents, *(f"/{name}" for name in ("healthz", "livez", "readyz", "version"))])
    documents[""] = {"paths": paths}
    return documents


def _render_resource(row: Resource, gvr: GVR) -> list[dict[str, Any]]:
    main: dict[str, Any] = {
        "name": gvr.resource,
        "singularName": row.singular,
        "namespaced": gvr.namespaced,
        "kind": gvr.kind,
        "verbs": _verbs(row),
    }
    if row.short_names:
        main["shortNames"] = list(row.short_names)
    if row.categories:
        main["categories"] = list(row.categories)
    if row.stored:
        main["storageVersionHash"] = _storage_hash(row)
    found = [main]
    for subresource in _subresources(row):
        group, version, kind = subresource_kind(subresource, gvr)
        one: dict[str, Any] = {
            "name": f"{gvr.resource}/{subresource}",
            "singularName": "",
            "namespaced": gvr.namespaced,
            "kind": kind,
            "verbs": list(SUBRESOURCE_VERBS[subresource]),
        }
        if version and group:
            one |= {"group": group, "version": version}
        found.append(one)
    return found


def _subresources(row: Resource) -> list[str]:
    return list(row.subresources) if row.custom is not None else sorted(row.subresources)


def _verbs(row: Resource) -> list[str]:
    """A custom kind on its way out is only read and emptied."""
    if row.custom is not None and row.custom.refuses_new:
        return [verb for verb in row.verbs if verb not in ("create", "patch", "update")]
    return list(row.verbs)


def _storage_hash(row: Resource) -> str:
    api_version = row.custom.stored_version if row.custom is not None else f"{row.gvr.group}/{row.gvr.version}"
    text = f"{api_version}/{row.gvr.kind}"
    return base64.b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()


def _render_aggregated(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _render_aggregated_resource(row: Resource, gvr: GVR) -> dict[str, Any]:
    found: dict[str, Any] = {
        "resource": gvr.resource,
        "responseKind": _response_kind(row, gvr),
        "scope": "Namespaced" if gvr.namespaced else "Cluster",
        "singularResource": row.singular,
        "verbs": _verbs(row),
    }
    if row.short_names:
        found["shortNames"] = list(row.short_names)
    if row.categories:
        found["categories"] = list(row.categories)
    if row.subresources:
        found["subresources"] = [_render_aggregated_subresource(name, gvr) for name in _subresources(row)]
    return found


def _response_kind(row: Resource, gvr: GVR) -> dict[str, str]:
    """Of a built-in kind group and version are those around it."""
    group, version = (gvr.group, gvr.version) if row.custom is not None else ("", "")
    return {"group": group, "version": version, "kind": gvr.kind}


def _render_aggregated_subresource(name: str, gvr: GVR) -> dict[str, Any]:
    group, version, kind = subresource_kind(name, gvr)
    return {
        "subresource": name,
        "responseKind": {"group": group, "version": version, "kind": kind},
        "verbs": list(SUBRESOURCE_VERBS[name]),
    }
