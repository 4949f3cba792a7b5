from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.machinery import schema
from seamark.machinery.schema import Message
from seamark.machinery.status import StatusError
from seamark.machinery.strict import conform_object

FIXTURES = sorted((Path(__file__).parent / "testdata" / "protobuf").glob("*.v1.*.json"))


def message(api_version: str, kind: str) -> Message:
    found = schema.message(api_version, kind)
    assert found is not None
    return found


SERVICE, POD, DEPLOYMENT = message("v1", "Service"), message("v1", "Pod"), message("apps/v1", "Deployment")


def test_unknown_fields_are_named_with_their_place_and_dropped() -> None:
    obj = {
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "spec": {
            "selctor": {},
            "template": {
                "spec": {"containers": [{"name": "a"}, {"name": "b", "imagee": "x"}], "nodeSelector": {"a": "b"}}
            },
        },
        "status": {},
        "extra": 1,
    }
    before = copy.deepcopy(obj)
    conformed, findings = conform_object(obj, DEPLOYMENT)
    assert findings == (
        'unknown field "spec.selctor"',
        'unknown field "spec.template.spec.containers[1].imagee"',
        'unknown field "extra"',
    )
    assert conformed["spec"] == {
        "template": {"spec": {"containers": [{"name": "a"}, {"name": "b"}], "nodeSelector": {"a": "b"}}}
    }
    assert "extra" not in conformed
    assert obj == before


@pytest.mark.parametrize(
    ("kind", "spec", "why"),
    [
        (SERVICE, "x", "json: cannot unmarshal string into Go struct field Service.spec of type v1.ServiceSpec"),
        (
            SERVICE,
            {"ports": {}},
            "json: cannot unmarshal object into Go struct field ServiceSpec.spec.ports of type []v1.ServicePort",
        ),
        (
            SERVICE,
            {"ports": [{"port": "80"}]},
            "json: cannot unmarshal string into Go struct field ServicePort.spec.ports.port of type int32",
        ),
        (
            SERVICE,
            {"ports": [{"port": 1.5}]},
            "json: cannot unmarshal number 1.5 into Go struct field ServicePort.spec.ports.port of type int32",
        ),
        (
            SERVICE,
            {"ports": [{"port": 99999999999}]},
            "json: cannot unmarshal number 99999999999 into Go struct field ServicePort.spec.ports.port of type int32",
        ),
        (
            SERVICE,
            {"ports": [{"port": True}]},
            "json: cannot unmarshal bool into Go struct field ServicePort.spec.ports.port of type int32",
        ),
        (
            SERVICE,
            {"selector": {"a": 1}},
            "json: cannot unmarshal number into Go struct field ServiceSpec.spec.selector of type string",
        ),
        (
            SERVICE,
            {"selector": []},
            "json: cannot unmarshal array into Go struct field ServiceSpec.spec.selector of type map[string]string",
        ),
        (
            SERVICE,
            {"ports": [{"targetPort": {}}]},
            "json: cannot unmarshal object into Go struct field ServicePort.spec.ports.targetPort of type int32",
        ),
        (
            POD,
            {"containers": ["x"]},
            "json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type v1.Container",
        ),
        (
            POD,
            {"containers": [{"resources": {"limits": {"cpu": "1x"}}}]},
            "spec.containers[0].resources.limits.cpu: quantities must match the regular expression "
            "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$', found \"1x\"",
        ),
    ],
)
def test_wrong_types(kind: Message, spec: Any, why: str) -> None:
    with pytest.raises(StatusError) as caught:
        conform_object({"spec": spec}, kind)
    assert caught.value.code == 400
    assert caught.value.message == f'{kind.kind} in version "v1" cannot be handled as a {kind.kind}: {why}'


@pytest.mark.parametrize(
    ("api_version", "kind", "obj", "why"),
    [
        ("v1", "Secret", {"data": {"a": "!"}}, "data.a: illegal base64 data"),
        (
            "v1",
            "Secret",
            {"metadata": {"creationTimestamp": "today"}},
            'metadata.creationTimestamp: parsing time "today"',
        ),
        ("v1", "Secret", {"metadata": {"creationTimestamp": "2026-01-01"}}, "metadata.creationTimestamp: parsing time"),
        ("v1", "Secret", [], "json: cannot unmarshal array into Go value of type v1.Secret"),
        ("v1", "Secret", None, "json: cannot unmarshal null into Go value of type v1.Secret"),
    ],
)
def test_values_that_are_no_such_thing(api_version: str, kind: str, obj: Any, why: str) -> None:
    with pytest.raises(StatusError) as caught:
        conform_object(obj, message(api_version, kind))
    assert caught.value.code == 400
    assert caught.value.message.startswith(f'{kind} in version "v1" cannot be handled as a {kind}: {why}')


def test_nulls_go_and_canonical_forms_come() -> None:
    obj = {
        "metadata": {"creationTimestamp": None, "labels": None, "annotations": {"a": None}},
        "spec": {
            "containers": [None, {"name": "a", "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}}}],
            "nodeName": None,
        },
        "status": {"startTime": "2026-11-24T12:00:00.5+02:00"},
    }
    conformed, findings = conform_object(obj, POD)
    assert findings == ()
    assert conformed == {
        "metadata": {"annotations": {"a": ""}},
        "spec": {"containers": [{}, {"name": "a", "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}}]},
        "status": {"startTime": "2026-11-24T10:00:00Z"},
    }


def test_micro_times_keep_six_digits() -> None:
    lease, _ = conform_object(
        {"spec": {"renewTime": "2026-11-24T12:00:00.1234567Z"}}, message("coordination.k8s.io/v1", "Lease")
    )
    assert lease == {"spec": {"renewTime": "2026-11-24T12:00:00.123456Z"}}


@pytest.mark.parametrize("path", FIXTURES, ids=lambda p: p.stem)
def test_the_published_fixtures_conform(path: Path) -> None:
    obj = json.loads(path.read_text())
    assert conform_object(obj, message(obj["apiVersion"], obj["kind"])) == (obj, ())


def test_free_form_json_is_kept_up_to_a_depth() -> None:
    kind = message("apps/v1", "ControllerRevision")
    assert conform_object({"data": {"any": [1, None]}}, kind) == ({"data": {"any": [1, None]}}, ())
    deep: Any = {}
    for _ in range(300):
        deep = {"a": deep}
    with pytest.raises(StatusError, match="data: nested deeper than 200 levels"):
        conform_object({"data": deep}, kind)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "metadata",
                    "spec",
                    "ports",
                    "port",
                    "targetPort",
                    "labels",
                    "creationTimestamp",
                    "status",
                    "x",
                    "template",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON, st.sampled_from([SERVICE, POD, DEPLOYMENT]))
def test_any_json_conforms_or_is_a_bad_request(value: Any, kind: Message) -> None:
    try:
        conformed, _ = conform_object(value, kind)
    except StatusError as error:
        assert error.code == 400
    else:
        assert conform_object(conformed, kind) == (conformed, ())
