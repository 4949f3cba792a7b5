"""Discovery, derived from the registry: its forms, and that it agrees with what is really served."""

from __future__ import annotations

import json
from typing import Any

import pytest

from seamark.api.app import VERBS, Api
from seamark.api.discovery import AGGREGATED, SUBRESOURCE_VERBS
from seamark.api.subresources.table import QUESTIONS, SUBRESOURCES
from seamark.machinery.wire import Request
from seamark.resources.table import build_registry
from seamark.testing.asking import ask

ACCEPT = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
)


async def test_aggregated_has_its_exact_type(api: Api) -> None:
    for path in ("/api", "/apis", "/apis/"):
        response = await ask(api, "GET", path, accept=ACCEPT)
        assert response.headers["content-type"] == AGGREGATED
        assert json.loads(response.body)["kind"] == "APIGroupDiscoveryList"


@pytest.mark.parametrize(
    "accept",
    ["application/json", "*/*", "", "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,*/*"],
)
async def test_old_form_for_those_who_ask_for_no_other(api: Api, accept: str) -> None:
    response = await ask(api, "GET", "/apis", accept=accept)
    assert response.headers["content-type"] == "application/json"
    assert json.loads(response.body)["kind"] == "APIGroupList"


async def test_etags(api: Api) -> None:
    first = await ask(api, "GET", "/api/v1")
    assert first.headers["cache-control"] == "public" and first.headers["vary"] == "Accept"
    again = await ask(api, "GET", "/api/v1", if_none_match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    other = await ask(api, "GET", "/apis", accept=ACCEPT, if_none_match=first.headers["etag"])
    assert other.status == 200


async def test_both_forms_agree(api: Api) -> None:
    """Every resource, verb, short name and subresource of one form is in the other."""

    def flat(resource: dict[str, Any]) -> tuple[Any, ...]:
        return (
            resource["name"],
            resource["singularName"],
            tuple(resource["verbs"]),
            tuple(resource.get("shortNames", ())),
            tuple(resource.get("categories", ())),
        )

    old, new = set(), set()
    for root in ("/api", "/apis"):
        for group in json.loads((await ask(api, "GET", root, accept=ACCEPT)).body)["items"]:
            for version in group["versions"]:
                name = group["metadata"].get("name", "")
                path = f"/apis/{name}/{version['version']}" if name else f"/api/{version['version']}"
                for r in json.loads((await ask(api, "GET", path)).body)["resources"]:
                    old.add((path, *flat(r)))
                for r in version["resources"]:
                    shown = {**r, "name": r["resource"], "singularName": r["singularResource"]}
                    new.add((path, *flat(shown)))
                    for s in r.get("subresources", ()):
                        full = {"name": f"{r['resource']}/{s['subresource']}", "singularName": "", "verbs": s["verbs"]}
                        new.add((path, *flat(full)))
    assert old == new and len(old) > 20


def test_what_is_announced_is_served() -> None:
    """Each verb of each row has its function, each subresource its handlers, and the reverse."""
    methods = {"get": "GET", "update": "PUT", "patch": "PATCH", "create": "POST", "delete": "DELETE"}
    announced = set()
    for row in build_registry().rows:
        assert set(row.verbs) <= set(VERBS)
        assert row.stored or row.gvr.resource in QUESTIONS
        for subresource in row.subresources:
            announced |= {(subresource, methods[v]) for v in SUBRESOURCE_VERBS[subresource]}
    assert announced == set(SUBRESOURCES)


async def test_names_a_group_and_the_paths(api: Api) -> None:
    group = json.loads((await ask(api, "GET", "/apis/apps")).body)
    assert group["preferredVersion"] == {"groupVersion": "apps/v1", "version": "v1"}
    paths = json.loads((await ask(api, "GET", "/")).body)["paths"]
    assert {"/api", "/api/v1", "/apis/apps/v1", "/healthz", "/version"} <= set(paths)
    assert (await ask(api, "GET", "/apis/nosuch")).status == 404


async def test_health_and_version(api: Api) -> None:
    assert (await ask(api, "GET", "/readyz")).body == b"ok"
    verbose = await api.handle(Request("GET", "/readyz", (("verbose", ""),)))
    assert verbose.body == b"[+]ping ok\n[+]store ok\nreadyz check passed\n"
    assert (await ask(api, "GET", "/healthz/nosuch")).status == 404
    version = json.loads((await ask(api, "GET", "/version")).body)
    assert (version["major"], version["minor"], version["gitVersion"]) == ("1", "36", "v1.36.3+seamark")
