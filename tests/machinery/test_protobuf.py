"""The protobuf codec against the fixtures of k8s.io/api, bodies of a real kubectl, and itself."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.machinery import protobuf
from seamark.machinery.status import StatusError

DATA = Path(__file__).parent / "testdata" / "protobuf"
FIXTURES = sorted(path.name.removesuffix(".json") for path in DATA.glob("*.v1.*.json"))
KUBECTL: dict[str, str] = json.loads((DATA / "kubectl.json").read_text())


def body_of(name: str) -> bytes:
    return base64.b64decode((DATA / f"{name}.pb.base64").read_text())


@pytest.mark.parametrize("name", FIXTURES)
def test_fixture_decodes_to_its_json(name: str) -> None:
    assert protobuf.decode_body(body_of(name)) == json.loads((DATA / f"{name}.json").read_text())


@pytest.mark.parametrize("name", FIXTURES)
def test_fixture_encodes_to_its_bytes(name: str) -> None:
    assert protobuf.encode_body(json.loads((DATA / f"{name}.json").read_text())) == body_of(name)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (
            "create deployment web --image=nginx:1 --replicas=3 --port=80",
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "web", "labels": {"app": "web"}},
                "spec": {
                    "replicas": 3,
                    "selector": {"matchLabels": {"app": "web"}},
                    "strategy": {},
                    "template": {
                        "metadata": {"labels": {"app": "web"}},
                        "spec": {
                            "containers": [
                                {"name": "nginx", "image": "nginx:1", "ports": [{"containerPort": 80}], "resources": {}}
                            ]
                        },
                    },
                },
                "status": {},
            },
        ),
        (
            "create service clusterip web --tcp=80:8080 --tcp=443:https",
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "web", "labels": {"app": "web"}},
                "spec": {
                    "ports": [
                        {"name": "80-8080", "protocol": "TCP", "port": 80, "targetPort": 8080},
                        {"name": "443-https", "protocol": "TCP", "port": 443, "targetPort": "https"},
                    ],
                    "selector": {"app": "web"},
                    "type": "ClusterIP",
                },
                "status": {"loadBalancer": {}},
            },
        ),
        (
            "create configmap cm --from-literal=a=b",
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm"}, "data": {"a": "b"}},
        ),
        (
            "create secret generic s --from-literal=a=b",
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "Yg=="}},
        ),
        (
            "create token sa --duration=1h",
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "metadata": {},
                "spec": {"expirationSeconds": 3600},
                "status": {"token": ""},
            },
        ),
        (
            "auth can-i get pods",
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "metadata": {},
                "spec": {"resourceAttributes": {"namespace": "default", "verb": "get", "resource": "pods"}},
                "status": {"allowed": False},
            },
        ),
    ],
)
def test_bodies_of_kubectl(command: str, expected: dict[str, Any]) -> None:
    decoded = protobuf.decode_body(base64.b64decode(KUBECTL[command]))
    if decoded["kind"] == "TokenRequest":
        decoded["spec"].pop("audiences", None)
    assert decoded == expected


@pytest.mark.parametrize("command", KUBECTL)
def test_bodies_of_kubectl_round_trip(command: str) -> None:
    decoded = protobuf.decode_body(base64.b64decode(KUBECTL[command]))
    assert protobuf.decode_body(protobuf.encode_body(decoded)) == decoded


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is not in Kubernetes' protobuf format"),
        (b'{"kind":"Pod"}', "the body is not in Kubernetes' protobuf format"),
        (b"k8s\x00\xff\xff", "the protobuf body cannot be decoded"),
        (b"k8s\x00", 'no kind "" is registered for version ""'),
        (b"k8s\x00\x0a\x09\x0a\x02v1\x12\x03Foo", 'no kind "Foo" is registered for version "v1"'),
        (b"k8s\x00\x0a\x09\x0a\x02v1\x12\x03Pod\x12\x02\xff\xff", "the protobuf body cannot be decoded"),
        (b"k8s\x00\x0a\x09\x0a\x02v1\x12\x03Pod\x1a\x04gzip", "the object's content encoding 'gzip' is not supported"),
    ],
)
def test_malformed_bodies_are_bad_requests(body: bytes, message: str) -> None:
    with pytest.raises(StatusError) as caught:
        protobuf.decode_body(body)
    assert caught.value.code == 400
    assert caught.value.message.startswith(message)


def test_the_url_names_the_kind_that_the_envelope_does_not() -> None:
    body = protobuf.encode_body({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})
    bare = protobuf.MAGIC + body[body.index(b"\x12", 4 + 2 + body[5]) :]
    with pytest.raises(StatusError):
        protobuf.decode_body(bare)
    decoded = protobuf.decode_body(bare, api_version="v1", kind="Namespace")
    assert decoded["kind"] == "Namespace" and decoded["metadata"] == {"name": "n"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("spec", {"replicas": "x"}),
        ("spec", {"replicas": 2**40}),
        ("spec", "x"),
        ("metadata", {"creationTimestamp": "y"}),
    ],
)
def test_what_a_field_cannot_hold_is_refused(field: str, value: Any) -> None:
    with pytest.raises(StatusError, match="cannot be encoded as protobuf"):
        protobuf.encode_body({"apiVersion": "apps/v1", "kind": "Deployment", field: value})


@given(st.binary(max_size=60))
def test_any_bytes_decode_or_are_a_bad_request(raw: bytes) -> None:
    envelope = b"\x0a\x09\x0a\x02v1\x12\x03Pod\x12" + bytes([len(raw)]) + raw
    try:
        decoded = protobuf.decode_body(protobuf.MAGIC + envelope)
    except StatusError as error:
        assert error.code == 400
    else:
        json.dumps(decoded)


PORT = st.fixed_dictionaries(
    {"port": st.integers(0, 65535), "protocol": st.sampled_from(["TCP", "UDP"])},
    optional={
        "name": st.text("ab-", min_size=1, max_size=5),
        "targetPort": st.integers(-(2**31), 2**31 - 1) | st.text(max_size=5),
        "appProtocol": st.text(max_size=5),
        "nodePort": st.integers(1, 2**31 - 1),
    },
)
SERVICE = st.fixed_dictionaries(
    {
        "apiVersion": st.just("v1"),
        "kind": st.just("Service"),
        "metadata": st.fixed_dictionaries(
            {"name": st.text(min_size=1, max_size=5)},
            optional={
                "labels": st.dictionaries(st.text(max_size=3), st.text(max_size=3), min_size=1, max_size=3),
                "creationTimestamp": st.datetimes().map(lambda d: d.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")),
            },
        ),
        "spec": st.fixed_dictionaries({}, optional={"ports": st.lists(PORT, min_size=1, max_size=3)}),
        "status": st.just({"loadBalancer": {}}),
    }
)


def with_target(service: dict[str, Any]) -> dict[str, Any]:
    """targetPort is no pointer in Go: absent is 0 after a round trip."""
    for port in service["spec"].get("ports", ()):
        port.setdefault("targetPort", 0)
    return service


@given(SERVICE)
def test_a_service_round_trips(service: dict[str, Any]) -> None:
    assert protobuf.decode_body(protobuf.encode_body(service)) == with_target(service)
