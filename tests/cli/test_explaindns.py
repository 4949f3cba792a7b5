"""How ``seamark explain dns`` tells what it found, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from seamark.cli.errors import UserError
from seamark.cli.explain import app
from seamark.cli.explaindns import as_json, as_text
from seamark.compile.resolvconf import ResolvConf
from seamark.compile.searchlist import Step
from seamark.explain.dns import Explanation, Question, Walk
from seamark.model.meta import UNKNOWN, Provenance

WEB = Provenance("Service", "shop", "web", "17")
FOUND = Question("web.shop.", "A", "found", "NOERROR", "dns://.:53")
FOUND.plugins = [("kubernetes", "answers NOERROR")]
FOUND.records = [("web.shop. 5 IN A 10.96.0.5", WEB), ("x. 5 IN A 192.0.2.1", UNKNOWN)]
DENIED = Question("web.", "A", "nxdomain", "NXDOMAIN", "dns://.:53", reasons=["there is no Service"])
STEPS = [(Step("web.", "as it is"), [DENIED]), (Step("web.shop.", "search shop"), [FOUND])]
WALKS = [Walk("glibc", STEPS, "found"), Walk("musl", STEPS, "found")]
CONF = ResolvConf(("shop",), (), ("ndots:5",))
EXPLANATION = Explanation("web", CONF, WALKS, {WEB: 1000.0}, ["make pods"], now=1000.0 + 3 * 3600)


def test_text_tells_each_question_once() -> None:
    assert list(as_text(EXPLANATION)) == [
        "web: search shop; ndots:5",
        "\nglibc: an answer after 2 of its names",
        "  1. web.  (as it is)",
        "     A NXDOMAIN  [dns://.:53]",
        "        because there is no Service",
        "  2. web.shop.  (search shop)",
        "     A NOERROR  [dns://.:53]",
        "        kubernetes: answers NOERROR",
        "        web.shop. 5 IN A 10.96.0.5  <- Service shop/web, revision 17, written 3h ago",
        "        x. 5 IN A 192.0.2.1",
        "\nmusl: an answer after 2 of its names",
        "  1. web.  (as it is)",
        "     A NXDOMAIN (as above)",
        "  2. web.shop.  (search shop)",
        "     A NOERROR (as above)",
        "\nwhat would mend it:",
        "  - make pods",
    ]


def test_json_has_the_same() -> None:
    found = json.loads(json.dumps(as_json(EXPLANATION)))
    (_, second) = found["walks"][0]["steps"]
    assert second["questions"][0]["records"][0]["object"] == {
        "kind": "Service",
        "namespace": "shop",
        "name": "web",
        "resourceVersion": "17",
        "ageSeconds": 10800.0,
    }
    assert second["questions"][0]["records"][1]["object"] is None
    assert found["mend"] == ["make pods"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["web", "NOPE"], "NOPE is not a type"),
        (["a..b"], "a..b: "),
        (["web", "-o", "yaml"], "--output yaml: text or json"),
        (["web", "--kubeconfig", "/nonexistent"], "/nonexistent"),
    ],
)
def test_refusals(words: list[str], message: str, tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["dns", *words])
    assert isinstance(found.exception, UserError)
    assert message in str(found.exception)
