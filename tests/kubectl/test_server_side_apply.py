"""``kubectl apply --server-side`` and what is shown of managedFields."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.kubectl

CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: COLOR, size: big}
"""


def config(color: str = "red") -> str:
    return CONFIG.replace("COLOR", color)


async def entries(kubectl: Any, name: str = "configmap/settings") -> dict[tuple[str, str], Any]:
    shown = yaml.safe_load((await kubectl("get", name, "-o", "yaml", "--show-managed-fields")).out)
    return {(e["manager"], e["operation"]): e for e in shown["metadata"].get("managedFields", [])}


async def test_creates_changes_and_leaves_alone(kubectl: Any) -> None:
    for color in ("red", "red", "blue"):
        out = (await kubectl("apply", "--server-side", "-f", "-", stdin=config(color))).out
        assert out == "configmap/settings serverside-applied\n"
    assert (await kubectl("get", "cm", "settings", "-o", "jsonpath={.data.color}")).out == "blue"
    hidden = (await kubectl("get", "cm", "settings", "-o", "yaml")).out
    assert "managedFields" not in hidden
    found = await entries(kubectl)
    assert list(found) == [("kubectl", "Apply")]
    entry = found[("kubectl", "Apply")]
    assert entry["fieldsV1"] == {"f:data": {"f:color": {}, "f:size": {}}}
    assert (entry["apiVersion"], entry["fieldsType"]) == ("v1", "FieldsV1") and entry["time"]


async def test_a_conflict_is_told_and_can_be_forced(kubectl: Any) -> None:
    await kubectl("apply", "--server-side", "-f", "-", "--field-manager=one", stdin=config())
    refused = await kubectl("apply", "--server-side", "-f", "-", stdin=config("blue"), fails=True)
    assert 'Apply failed with 1 conflict: conflict with "one": .data.color' in refused.err
    assert "--force-conflicts" in refused.err
    await kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=config("blue"))
    found = await entries(kubectl)
    assert found[("one", "Apply")]["fieldsV1"] == {"f:data": {"f:size": {}}}


async def test_from_client_side_to_server_side_and_back(kubectl: Any) -> None:
    await kubectl("apply", "-f", "-", stdin=config())
    assert ("kubectl-client-side-apply", "Update") in await entries(kubectl)
    out = await kubectl("apply", "--server-side", "-f", "-", stdin=config("blue"))
    assert out.out == "configmap/settings serverside-applied\n" and not out.err
    found = await entries(kubectl)
    assert found[("kubectl", "Apply")]["fieldsV1"]["f:data"] == {"f:color": {}, "f:size": {}}
    shown = json.loads((await kubectl("get", "cm", "settings", "-o", "json")).out)
    last = json.loads(shown["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"])
    assert last["data"] == {"color": "blue", "size": "big"}
    less = config("green").replace(", size: big", "")
    assert (await kubectl("apply", "-f", "-", stdin=less)).out == "configmap/settings configured\n"
    assert (await kubectl("get", "cm", "settings", "-o", "jsonpath={.data}")).out == '{"color":"green"}'


async def test_a_field_that_is_left_out_goes(kubectl: Any) -> None:
    await kubectl("apply", "--server-side", "-f", "-", stdin=config())
    await kubectl("label", "cm", "settings", "kept=yes")
    await kubectl("apply", "--server-side", "-f", "-", stdin=config().replace(", size: big", ""))
    shown = json.loads((await kubectl("get", "cm", "settings", "-o", "json")).out)
    assert shown["data"] == {"color": "red"} and shown["metadata"]["labels"] == {"kept": "yes"}
    found = await entries(kubectl)
    assert found[("kubectl-label", "Update")]["fieldsV1"] == {"f:metadata": {"f:labels": {".": {}, "f:kept": {}}}}


async def test_an_unknown_field_is_refused(kubectl: Any) -> None:
    wrong = config().replace("\ndata:", "\ndta:")
    refused = await kubectl("apply", "--server-side", "--validate=false", "-f", "-", stdin=wrong, fails=True)
    assert ".dta: field not declared in schema" in refused.err
    assert "failed to create typed patch object (default/settings; /v1, Kind=ConfigMap)" in refused.err


async def test_dry_run_and_diff(kubectl: Any) -> None:
    tried = await kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=config())
    assert tried.out == "configmap/settings serverside-applied (server dry run)\n"
    await kubectl("apply", "--server-side", "-f", "-", stdin=config())
    diff = await kubectl("diff", "--server-side", "-f", "-", stdin=config("blue"), fails=True)
    assert diff.code == 1 and "+  color: blue" in diff.out


async def test_scale_belongs_to_who_scaled(kubectl: Any) -> None:
    await kubectl("create", "deployment", "web", "--image=x")
    await kubectl("scale", "deployment", "web", "--replicas=2")
    found = await entries(kubectl, "deployment/web")
    assert found[("kubectl", "Update")]["fieldsV1"] == {"f:spec": {"f:replicas": {}}}
    assert found[("kubectl", "Update")]["subresource"] == "scale"
    assert "f:replicas" not in found[("kubectl-create", "Update")]["fieldsV1"]["f:spec"]
