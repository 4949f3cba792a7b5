"""What a request asks for, read from its target, and from its path where there is none."""

from __future__ import annotations

import pytest

from seamark.api.authz.attributes import (
    is_resource_path,
    path_attributes,
    target_attributes,
    unserved_attributes,
)
from seamark.api.routing import parse_target
from seamark.machinery.authorize import Attributes
from seamark.machinery.wire import Request
from seamark.resources.table import build_registry

REGISTRY = build_registry()
NS = "/api/v1/namespaces/ns"

SERVED = [
    ("GET", f"{NS}/pods", Attributes("list", "", "pods", "", "ns")),
    ("GET", f"{NS}/pods?watch=1", Attributes("watch", "", "pods", "", "ns")),
    ("GET", f"{NS}/pods?watch=false", Attributes("list", "", "pods", "", "ns")),
    ("GET", f"{NS}/pods/x?watch=1", Attributes("get", "", "pods", "", "ns", "x")),
    ("GET", "/api/v1/watch/pods", Attributes("watch", "", "pods")),
    ("GET", "/api/v1/watch/namespaces/ns/pods/x", Attributes("watch", "", "pods", "", "ns", "x")),
    ("HEAD", f"{NS}/pods/x", Attributes("get", "", "pods", "", "ns", "x")),
    ("POST", f"{NS}/pods", Attributes("create", "", "pods", "", "ns")),
    ("PUT", f"{NS}/pods/x/status", Attributes("update", "", "pods", "status", "ns", "x")),
    (
        "PATCH",
        "/apis/apps/v1/namespaces/ns/deployments/d/scale",
        Attributes("patch", "apps", "deployments", "scale", "ns", "d"),
    ),
    ("DELETE", f"{NS}/pods/x", Attributes("delete", "", "pods", "", "ns", "x")),
    ("DELETE", f"{NS}/pods", Attributes("deletecollection", "", "pods", "", "ns")),
    ("POST", f"{NS}/pods/x/exec", Attributes("create", "", "pods", "exec", "ns", "x")),
    ("GET", "/api/v1/nodes", Attributes("list", "", "nodes")),
    (
        "DELETE",
        f"{NS}/pods?fieldSelector=metadata.name=x",
        Attributes("deletecollection", "", "pods", "", "ns", field_selector="metadata.name=x"),
    ),
    ("GET", NS, Attributes("get", "", "namespaces", "", "ns", "ns")),
    ("PUT", f"{NS}/finalize", Attributes("update", "", "namespaces", "finalize", "ns", "ns")),
    ("GET", "/api/v1/namespaces", Attributes("list", "", "namespaces")),
    ("GET", f"{NS}/%70ods", Attributes("list", "", "pods", "", "ns")),
    (
        "GET",
        f"{NS}/pods?fieldSelector=metadata.name=x",
        Attributes("list", "", "pods", "", "ns", "x", "", "metadata.name=x"),
    ),
    (
        "GET",
        "/api/v1/pods?fieldSelector=spec.nodeName=n",
        Attributes("list", "", "pods", "", "", "", "", "spec.nodeName=n"),
    ),
    (
        "GET",
        "/api/v1/pods?fieldSelector=metadata.name=a/b",
        Attributes("list", "", "pods", field_selector="metadata.name=a/b"),
    ),
]


def request(method: str, url: str) -> Request:
    path, _, query = url.partition("?")
    pairs = tuple((k, v) for k, _, v in (part.partition("=") for part in query.split("&") if part))
    return Request(method, path, pairs)


@pytest.mark.parametrize(("method", "url", "wanted"), SERVED, ids=[f"{m} {u}" for m, u, _ in SERVED])
def test_of_what_is_served(method: str, url: str, wanted: Attributes) -> None:
    asked = request(method, url)
    assert is_resource_path(asked.path)
    assert target_attributes(parse_target(REGISTRY, asked.path), asked) == wanted
    assert unserved_attributes(asked)._replace(path="") == wanted  # the second reading of a path is no other one


@pytest.mark.parametrize(
    ("method", "url", "wanted"),
    [
        ("GET", "/apis/example.com/v1/widgets", Attributes("list", "example.com", "widgets")),
        (
            "POST",
            "/apis/example.com/v1/namespaces/ns/widgets",
            Attributes("create", "example.com", "widgets", "", "ns"),
        ),
        ("GET", f"{NS}/nosuch/x/sub/more", Attributes("get", "", "nosuch", "sub", "ns", "x")),
        ("GET", "/apis/g/v//", Attributes("list", "g", "")),
    ],
)
def test_of_what_is_not(method: str, url: str, wanted: Attributes) -> None:
    assert unserved_attributes(request(method, url)) == wanted


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api",
        "/api/v1",
        "/api/v1/",
        "/apis/apps/v1",
        "/healthz/ping",
        "/openapi/v3/apis/apps/v1",
        "//api/v1/pods",
        "/%61pi/v1/pods",
    ],
)
def test_what_is_no_resource_is_judged_as_a_path(path: str) -> None:
    assert not is_resource_path(path)
    found = path_attributes(Request("GET", path))
    assert (found.verb, found.resource, found.path) == ("get", "", path.replace("%61", "a"))
