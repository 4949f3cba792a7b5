"""The codecs against every fixture of the published k8s.io/api module: JSON, YAML and protobuf of each served kind.

`make test-fixtures` fetches the module and says where it is; a few fixtures are kept with the protobuf codec's tests.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from seamark.api.yamltext import decode_yaml, render_yaml
from seamark.machinery import protobuf, schema
from seamark.machinery.schema import Message
from seamark.machinery.strict import conform_object

MODULE = os.environ.get("SEAMARK_API_MODULE", "")
Case = tuple[Path, dict[str, Any], Message]


def served() -> list[Case]:
    found = []
    for path in sorted(Path(MODULE, "testdata", "HEAD").glob("*.json")) if MODULE else ():
        obj = json.loads(path.read_text())
        message = schema.message(obj.get("apiVersion", ""), obj.get("kind", ""))
        if message is not None and message.group != "meta.k8s.io":
            found.append((path, obj, message))
    return found


CASES = served()
pytestmark = pytest.mark.skipif(not MODULE, reason="make test-fixtures runs these")


def test_the_fixtures_are_there() -> None:
    assert len(CASES) >= 65


@pytest.mark.parametrize(("path", "obj", "message"), CASES, ids=[path.stem for path, *_ in CASES])
def test_codecs(path: Path, obj: dict[str, Any], message: Message) -> None:
    body, text = path.with_suffix(".pb").read_bytes(), path.with_suffix(".yaml").read_bytes()
    assert protobuf.decode_body(body) == obj
    assert protobuf.encode_body(obj) == body
    assert decode_yaml(text) == obj
    assert render_yaml(obj) == text
    assert conform_object(obj, message) == (obj, ())
