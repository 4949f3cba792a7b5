"""docs/not-served.md against discovery of kube-apiserver 1.36.3 (recorded), against ours, and against the answers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from seamark.api.app import Api
from seamark.machinery.wire import Identity, Request, Response

ADMIN = Identity("jane", ("system:masters",))
PAGE = (Path(__file__).parents[2] / "docs" / "not-served.md").read_text()
RECORDED: dict[str, dict[str, str]] = json.loads((Path(__file__).parent / "discovery_recorded.json").read_text())
"""Group version → resource → its verbs, as the real server tells them."""

ROWS = [
    (group_version, resource, answer.strip())
    for group_version, resources, answer in re.findall(r"^\| `([^`]+)` \| (`[^|]+`) \|[^|]+\|([^|]+)\|$", PAGE, re.M)
    for resource in re.findall(r"`([^`]+)`", resources)
]
PATHS = re.findall(r"^\| `(/[^`]+)` \|[^|]+\| (\d+) \|$", PAGE, re.M)


def root(group_version: str) -> str:
    return f"/apis/{group_version}" if "/" in group_version else f"/api/{group_version}"


async def get(api: Api, path: str) -> Response:
    return await api.handle(Request("GET", path, (), {"accept": "application/json"}, b"", ADMIN))


async def ours(api: Api, group_version: str) -> dict[str, str]:
    response = await get(api, root(group_version))
    found = json.loads(response.body)["resources"] if response.status == 200 else []
    return {one["name"]: " ".join(sorted(one["verbs"])) for one in found}


@pytest.mark.parametrize("group_version", sorted(RECORDED))
async def test_all_is_served_with_the_same_verbs_or_on_the_page(api: Api, group_version: str) -> None:
    listed = {resource for where, resource, _ in ROWS if where == group_version}
    served = await ours(api, group_version)
    assert served == {name: verbs for name, verbs in RECORDED[group_version].items() if name not in listed}
    assert listed <= RECORDED[group_version].keys()


async def test_no_group_is_served_that_the_real_one_has_not(api: Api) -> None:
    groups = json.loads((await get(api, "/apis")).body)["groups"]
    versions = {version["groupVersion"] for group in groups for version in group["versions"]}
    assert versions <= RECORDED.keys()


@pytest.mark.parametrize(("group_version", "resource", "answer"), ROWS, ids=lambda one: str(one))
async def test_the_answer_is_what_the_page_says(api: Api, group_version: str, resource: str, answer: str) -> None:
    plural, _, subresource = resource.partition("/")
    namespaced = plural in ("pods", "resourceclaims", "resourceclaimtemplates", "csistoragecapacities")
    path = f"{root(group_version)}{'/namespaces/default' if namespaced else ''}/{plural}"
    response = await get(api, f"{path}/x/{subresource}" if subresource else path)
    if answer == "text":
        assert (response.status, response.body) == (404, b"404 page not found\n")
        return
    status = json.loads(response.body)
    assert (status["kind"], status["code"]) == ("Status", int(answer.removeprefix("Status").strip() or "404"))
    if status["code"] == 404:
        assert status["message"] == "the server could not find the requested resource"


@pytest.mark.parametrize(("path", "code"), PATHS)
async def test_paths(api: Api, path: str, code: str) -> None:
    assert (await get(api, path)).status == int(code)
