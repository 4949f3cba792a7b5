"""Keys that stand twice, in the words and the order that kube-apiserver 1.36 gives them."""

from __future__ import annotations

import pytest

from seamark.machinery import schema
from seamark.machinery.duplicates import find_duplicates, find_misfits


@pytest.mark.parametrize(
    ("body", "findings"),
    [
        (b'{"a":1,"b":2}', ()),
        (b'{"a":1,"b":2,"a":3}', ('duplicate field "a"',)),
        (b'{"spec":{"ports":[{},{"port":1,"port":2,"port":3}]}}', ('duplicate field "spec.ports[1].port"',)),
        (
            b'{"spec":{"x":1},"spec":{"type":1,"type":2}}',
            ('duplicate field "spec"', 'duplicate field "spec.type"'),
        ),
        (b'[{"a":1},{"a":1}]', ()),
        ('{"é\\"":1,"é\\"":1}'.encode(), ('duplicate field "é\\""',)),
    ],
)
def test_duplicates(body: bytes, findings: tuple[str, ...]) -> None:
    assert find_duplicates(body) == findings


@pytest.mark.parametrize(
    ("kind", "body", "findings"),
    [
        pytest.param(
            "ConfigMap",
            b'{"metadata":{"name":"z","nme":"x","nme":"y"},"data":{"k":"v","k":"w"},"dta":{},"foo":1,"foo":2}',
            (
                'unknown field "metadata.nme"',
                'duplicate field "data.k"',
                'unknown field "dta"',
                'unknown field "foo"',
            ),
            id="among-unknown-fields",
        ),
        pytest.param(
            "Service",
            b'{"spec":{"ports":[{"port":1},{"port":1,"prt":2,"port":2}],"ports":[]},"x":{"a":1,"a":2}}',
            (
                'unknown field "spec.ports[1].prt"',
                'duplicate field "spec.ports[1].port"',
                'duplicate field "spec.ports"',
                'unknown field "x"',
            ),
            id="in-lists-and-not-inside-of-what-is-unknown",
        ),
        pytest.param(
            "Service", b'{"metadata":{"labels":{"a":"1"}},"spec":{"selector":[1]}}', (), id="a-wrong-type-is-not-ours"
        ),
    ],
)
def test_misfits_in_the_order_of_the_text(kind: str, body: bytes, findings: tuple[str, ...]) -> None:
    message = schema.message("v1", kind)
    assert message is not None
    assert find_misfits(body, message) == findings
