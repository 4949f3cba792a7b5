"""v2 as protobuf, byte for byte what gnostic makes of the same document (google/gnostic-models 0.7.0)."""

from __future__ import annotations

import pytest

from seamark.api.openapi import render_openapi_v2, render_openapi_v2_protobuf
from seamark.api.openapi_gnostic import encode_document
from seamark.resources.table import build_registry

DOCUMENT = {
    "swagger": "2.0",
    "info": {"title": "t", "version": "1"},
    "paths": {
        "/a/{name}": {
            "parameters": [
                {
                    "name": "name",
                    "in": "path",
                    "description": "d",
                    "required": True,
                    "type": "string",
                    "uniqueItems": True,
                }
            ],
            "patch": {
                "description": "d",
                "operationId": "patchA",
                "tags": ["x"],
                "parameters": [
                    {"name": "body", "in": "body", "required": True, "schema": {"$ref": "#/definitions/A"}},
                    {"name": "dryRun", "in": "query", "description": "q", "type": "string", "uniqueItems": True},
                ],
                "consumes": ["*/*"],
                "produces": ["application/json"],
                "responses": {
                    "200": {"description": "OK", "schema": {"$ref": "#/definitions/A"}},
                    "401": {"description": "Unauthorized"},
                },
                "x-kubernetes-action": 7,
            },
        }
    },
    "definitions": {
        "A": {
            "description": "d",
            "type": "object",
            "required": ["b"],
            "properties": {
                "b": {"type": "array", "items": {"type": "string", "default": 7}},
                "c": {"type": "object", "additionalProperties": {"type": "integer", "format": "int32"}, "enum": [1, 2]},
            },
            "x-n": 3,
        }
    },
    "securityDefinitions": {"T": {"type": "apiKey", "name": "authorization", "in": "header", "description": "d"}},
    "security": [{"T": []}],
}

GNOSTIC = bytes.fromhex(
    "0a03322e3012060a01741201314285021282020a092f612f7b6e616d657d12f40142cd010a01781a01642a067061746368413210"
    "6170706c69636174696f6e2f6a736f6e3a032a2f2a42250a230a211204626f64791a04626f647920012a110a0f232f646566696e"
    "6974696f6e732f4142230a21121f1a1d120571756572791a0171220664727952756e3206737472696e67a001014a3d0a220a0332"
    "3030121b0a190a024f4b12130a110a0f232f646566696e6974696f6e732f410a170a0334303112100a0e0a0c556e617574686f72"
    "697a65646a1b0a13782d6b756265726e657465732d616374696f6e12041202370a4a220a20121e221c08011204706174681a0164"
    "22046e616d652a06737472696e679801014a8b010a88010a01411282012201649a010162b201080a066f626a656374ca015f0a25"
    "0a01621220b201070a056172726179ba01130a112a041202370ab201080a06737472696e670a360a01631231a201041202310aa2"
    "01041202320aaa01150a131205696e743332b201090a07696e7465676572b201080a066f626a656374fa010b0a03782d6e120412"
    "02330a62070a050a015412006a2b0a290a0154122412220a066170694b6579120d617574686f72697a6174696f6e1a0668656164"
    "6572220164"
)


def test_the_bytes_of_gnostic() -> None:
    assert encode_document(DOCUMENT) == GNOSTIC


def test_the_whole_document_has_a_place() -> None:
    registry = build_registry()
    encoded = render_openapi_v2_protobuf(registry)
    assert len(encoded) > len(render_openapi_v2(registry)) / 2
    for name in (b"io.k8s.api.core.v1.ServicePort", b"fieldValidation", b"x-kubernetes-group-version-kind"):
        assert name in encoded


def test_an_unknown_key_is_an_error() -> None:
    with pytest.raises(KeyError, match="oneOf"):
        encode_document({"definitions": {"A": {"oneOf": []}}})
