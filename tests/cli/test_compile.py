"""``seamark compile``: options and what bad input gets. The products themselves are the scenarios' business."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from seamark.cli.compile import app
from seamark.cli.errors import UserError

SERVICE = """
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.9, ports: [{name: http, port: 80}]}
"""
POD = """---
kind: Pod
metadata: {name: a, namespace: other}
spec: {nodeName: node2, enableServiceLinks: false}
---
kind: Node
metadata: {name: node1}
"""


def run(*argv: str, text: str) -> str:
    result = CliRunner().invoke(app, [*argv, "-f", "-"], input=text, catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def failure(*argv: str, text: str) -> str:
    with pytest.raises(UserError) as raised:
        CliRunner().invoke(app, [*argv, "-f", "-"], input=text, catch_exceptions=False)
    return str(raised.value)


def test_a_pod_decides_namespace_links_and_node() -> None:
    assert "WEB_SERVICE_HOST=10.96.0.9" in run("env", text=SERVICE + POD)
    assert "WEB" not in run("env", "--pod", "other/a", text=SERVICE + POD)
    assert failure("nft", "--pod", "other/a", text=SERVICE + POD) == (
        "compile: --node node2: no such Node in the file; there are: node1"
    )


def test_a_list_and_kinds_nobody_compiles() -> None:
    listed = (
        "kind: List\nitems:\n- {kind: Service, metadata: {name: x}, spec: {clusterIP: 10.96.0.2, ports: [{port: 1}]}}\n"
    )
    found = run("env", text=listed + "---\nkind: ConfigMap\nmetadata: {name: c}\n")
    assert "X_SERVICE_PORT=1" in found
    assert "document 2: ConfigMap: not used by any compiler" in found


def test_structure_is_a_whole_file_and_follows_the_ranges() -> None:
    found = run("nft", "--structure", "--pod-cidr", "10.9.0.0/16", text=SERVICE)
    assert found.startswith("table ip seamark {")
    assert "elements = { 10.9.0.0/16 }" in found
    assert "add element ip seamark kinds { 1:0 : goto n1 }" in found
    assert "table ip6 seamark {" in run("nft", "--structure", "--ipv6", text=SERVICE)


def test_service_without_an_address_is_named() -> None:
    found = run("nft", text="kind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n")
    assert "Service default/web: spec.clusterIP: none given, so no rules" in found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: Service\nspec: {}\n", "document 1: Service: metadata.name: required"),
        (
            "kind: Service\nmetadata: {name: w}\nspec: {ports: [{port: x}]}\n",
            "document 1: Service w: Expected `int`, got `str` - at `$.spec.ports[0].port`",
        ),
        ("- 1\n", "document 1: an object is wanted, not list"),
        ("kind: List\nitems: [7]\n", "document 1 item 0: an object is wanted, not int"),
        ("a: [\n", "no YAML: "),
    ],
)
def test_what_cannot_be_read(text: str, said: str) -> None:
    assert said in failure("env", text=text)


def test_a_missing_file_and_a_missing_pod(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        CliRunner().invoke(app, ["dns", "-f", str(tmp_path / "none.yaml")], catch_exceptions=False)
    assert failure("env", "--pod", "x/y", text=POD) == (
        "compile: --pod x/y: no such Pod in the file; there are: other/a"
    )
