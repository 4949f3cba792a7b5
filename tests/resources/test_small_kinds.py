"""The kinds of a few fields: ConfigMap, Secret, Endpoints, EndpointSlice, Event, Namespace, Node, Lease, claims."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from seamark.machinery import gvr
from seamark.resources.coordination.lease import LEASE
from seamark.resources.core.configmap import CONFIGMAP
from seamark.resources.core.endpoints import ENDPOINTS
from seamark.resources.core.event import EVENT, convert
from seamark.resources.core.namespace import NAMESPACE
from seamark.resources.core.node import NODE
from seamark.resources.core.persistentvolumeclaim import PERSISTENTVOLUMECLAIM
from seamark.resources.core.secret import SECRET
from seamark.resources.discovery.endpointslice import ENDPOINTSLICE
from seamark.resources.registry import Resource
from seamark.testing.writes import Writes, shown

Obj = dict[str, Any]
NOW = 1795514400.0  # 2026-11-24T10:00:00Z
FIVE_SECONDS_AGO, THREE_SECONDS_AGO = "2026-11-24T09:59:55Z", "2026-11-24T09:59:57Z"
META = {"name": "x", "namespace": "default"}


def named(obj: Obj) -> Obj:
    return {"metadata": dict(META), **obj}


def cells(row: Resource, obj: Obj) -> list[Any]:
    return [column.cell(obj, NOW) for column in row.columns if column.cell]


def test_secret_text_becomes_data() -> None:
    made = Writes(SECRET).prepared(named({"data": {"a": "AA=="}, "stringData": {"a": "new", "b": "ü"}}))
    assert made["data"] == {"a": "bmV3", "b": "w7w="}
    assert "stringData" not in made
    assert made["type"] == "Opaque"
    assert cells(SECRET, made) == ["Opaque", 2]


KEY_RULE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)


@pytest.mark.parametrize(
    ("row", "obj", "causes"),
    [
        pytest.param(CONFIGMAP, {"data": {"a": "1"}}, [], id="ConfigMap"),
        pytest.param(
            CONFIGMAP, {"data": {"a/b": ""}}, [f'data[a/b]: Invalid value: "a/b": {KEY_RULE}'], id="ConfigMap key"
        ),
        pytest.param(
            CONFIGMAP,
            {"data": {"a": ""}, "binaryData": {"a": ""}},
            ['data[a]: Invalid value: "a": duplicate of key present in binaryData'],
            id="ConfigMap key twice",
        ),
        pytest.param(
            CONFIGMAP,
            {"data": {"a": "x" * (1024 * 1024 + 1)}},
            ["[]: Too long: may not be more than 1048576 bytes"],
            id="ConfigMap too long",
        ),
        pytest.param(
            SECRET,
            {"type": "kubernetes.io/tls", "data": {}},
            ["data[tls.crt]: Required value", "data[tls.key]: Required value"],
            id="tls Secret without its keys",
        ),
        pytest.param(
            SECRET,
            {"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": "{"}},
            [
                'data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": '
                "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"
            ],
            id="docker config that is no JSON",
        ),
        pytest.param(
            SECRET,
            {"data": {"a": "!"}},
            ['data[a]: Invalid value: "<secret contents redacted>": must be base64 encoded'],
            id="no base64",
        ),
        pytest.param(
            ENDPOINTS,
            {"subsets": [{"ports": [{"port": 80}]}]},
            ["subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"],
            id="Endpoints without addresses",
        ),
        pytest.param(
            ENDPOINTS,
            {"subsets": [{"addresses": [{"ip": "127.0.0.1"}], "ports": [{"port": 0}]}]},
            [
                'subsets[0].addresses[0].ip: Invalid value: "127.0.0.1": '
                "may not be in the loopback range (127.0.0.0/8, ::1/128)",
                "subsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
            ],
            id="Endpoints on loopback",
        ),
        pytest.param(ENDPOINTSLICE, {}, ["addressType: Required value"], id="slice without address type"),
        pytest.param(
            ENDPOINTSLICE,
            {"addressType": "IPv4", "endpoints": [{"addresses": []}, {"addresses": ["fd00::1"]}]},
            [
                "endpoints[0].addresses: Required value: must contain at least 1 address",
                'endpoints[1].addresses: Invalid value: "fd00::1": must be an IPv4 address',
            ],
            id="slice addresses",
        ),
        pytest.param(
            ENDPOINTSLICE,
            {"addressType": "IPv4", "ports": [{"name": "a"}, {"name": "a", "protocol": "X"}]},
            [
                'ports[1].name: Duplicate value: "a"',
                'ports[1].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"',
            ],
            id="slice ports",
        ),
        pytest.param(
            ENDPOINTSLICE,
            {"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}] * 1001},
            ["endpoints: Too many: 1001: must have at most 1000 items"],
            id="slice too large",
        ),
        pytest.param(
            LEASE,
            {"spec": {"leaseDurationSeconds": 0, "leaseTransitions": -1}},
            [
                "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
                "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
            ],
            id="Lease",
        ),
        pytest.param(
            NODE,
            {"spec": {"podCIDR": "10.244.0.0", "taints": [{"key": "k"}]}},
            [
                "metadata.taints[0].effect: Required value",
                'spec.podCIDRs[0]: Invalid value: "10.244.0.0": must be a valid CIDR value, '
                "(e.g. 10.9.8.0/24 or 2001:db8::/64)",
            ],
            id="Node",
        ),
        pytest.param(
            NODE,
            {"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}, {"key": "k", "effect": "NoSchedule"}]}},
            [
                'metadata.taints[1]: Duplicate value: {"Key":"k","Value":"","Effect":"NoSchedule","TimeAdded":null}: '
                "taints must be unique by key and effect pair"
            ],
            id="taint twice",
        ),
        pytest.param(
            NAMESPACE,
            {"spec": {"finalizers": ["mine"]}},
            [
                'spec.finalizers: Invalid value: "mine": name is neither a standard finalizer name nor is it fully '
                "qualified"
            ],
            id="Namespace finalizer",
        ),
        pytest.param(
            PERSISTENTVOLUMECLAIM,
            {"spec": {}},
            [
                "spec.accessModes: Required value: at least 1 access mode is required",
                "spec.resources[storage]: Required value",
            ],
            id="claim",
        ),
        pytest.param(
            EVENT,
            {"involvedObject": {"namespace": "other"}},
            ['involvedObject.namespace: Invalid value: "other": does not match event.namespace'],
            id="Event about another namespace",
        ),
        pytest.param(
            EVENT,
            {"eventTime": FIVE_SECONDS_AGO, "involvedObject": {"namespace": "default"}, "reportingComponent": "a.b/c"},
            ["reportingInstance: Required value", "action: Required value", "reason: Required value"],
            id="new Event without its fields",
        ),
    ],
)
def test_refused_on_create(row: Resource, obj: Obj, causes: list[str]) -> None:
    assert Writes(row).refused(named(obj)) == causes


@pytest.mark.parametrize(
    ("row", "old", "change", "causes"),
    [
        pytest.param(
            SECRET,
            {"type": "Opaque"},
            {"type": "kubernetes.io/tls"},
            ['type: Invalid value: "kubernetes.io/tls": field is immutable'],
            id="Secret type",
        ),
        pytest.param(
            CONFIGMAP,
            {"immutable": True, "data": {"a": "1"}},
            {"immutable": None, "data": {"a": "2"}},
            [
                "immutable: Forbidden: field is immutable when `immutable` is set",
                "data: Forbidden: field is immutable when `immutable` is set",
            ],
            id="immutable ConfigMap",
        ),
        pytest.param(CONFIGMAP, {"data": {"a": "1"}}, {"immutable": True}, [], id="becoming immutable"),
        pytest.param(
            ENDPOINTSLICE,
            {"addressType": "IPv4"},
            {"addressType": "IPv6"},
            ['addressType: Invalid value: "IPv6": field is immutable'],
            id="address type",
        ),
        pytest.param(
            NODE,
            {"spec": {"podCIDRs": ["10.244.0.0/24"]}},
            {"spec": {"podCIDRs": ["10.244.1.0/24"]}},
            ['spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid'],
            id="pod range of a node",
        ),
        pytest.param(NODE, {"spec": {}}, {"spec": {"podCIDRs": ["10.244.1.0/24"]}}, [], id="first pod range"),
    ],
)
def test_refused_on_update(row: Resource, old: Obj, change: Obj, causes: list[str]) -> None:
    assert row.validate_update
    assert shown(row.validate_update({**old, **change}, old)) == causes


def test_namespace_carries_its_name_and_finalizer() -> None:
    made = Writes(NAMESPACE).prepared(named({"metadata": {"name": "shop"}}))
    assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": "shop"}
    assert made["spec"] == {"finalizers": ["kubernetes"]}
    assert made["status"] == {"phase": "Active"}
    assert cells(NAMESPACE, made) == ["Active"]


def test_namespace_finalizers_are_not_written_with_the_object() -> None:
    assert NAMESPACE.prepare_update
    old = Writes(NAMESPACE).prepared(named({}))
    new: Obj = {"metadata": dict(META), "spec": {"finalizers": []}, "status": {"phase": "Terminating"}}
    NAMESPACE.prepare_update(new, old)
    assert (new["spec"], new["status"]) == (old["spec"], old["status"])


@pytest.mark.parametrize(
    ("deleted", "phase", "causes"),
    [
        (None, "Active", []),
        (FIVE_SECONDS_AGO, "Terminating", []),
        (
            None,
            "Terminating",
            ["status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"],
        ),
    ],
)
def test_namespace_phase_follows_deletion(deleted: str | None, phase: str, causes: list[str]) -> None:
    assert NAMESPACE.validate_status
    old = {"metadata": {"deletionTimestamp": deleted}}
    assert shown(NAMESPACE.validate_status({"status": {"phase": phase}}, old)) == causes


def test_slice_generation_moves_with_data_and_labels() -> None:
    assert ENDPOINTSLICE.prepare_update
    old = Writes(ENDPOINTSLICE).prepared(named({"addressType": "IPv4"}))
    old["metadata"]["generation"] = 4
    for change, generation in (({}, 4), ({"endpoints": [{"addresses": ["10.0.0.1"]}]}, 5)):
        new = {**deepcopy(old), **change}
        ENDPOINTSLICE.prepare_update(new, old)
        assert new["metadata"]["generation"] == generation
    relabelled = deepcopy(old)
    relabelled["metadata"]["labels"] = {"a": "b"}
    ENDPOINTSLICE.prepare_update(relabelled, old)
    assert relabelled["metadata"]["generation"] == 5


def test_empty_slice_says_so() -> None:
    made = Writes(ENDPOINTSLICE).prepared(named({"addressType": "IPv4"}))
    assert (made["endpoints"], made["ports"]) == (None, None)


def subsets(addresses: int, *ports: int) -> Obj:
    listed = [{"ip": f"10.244.0.{21 + n}"} for n in range(addresses)]
    return {"subsets": [{"addresses": listed, "ports": [{"port": port} for port in ports]}]}


@pytest.mark.parametrize(
    ("obj", "text"),
    [
        pytest.param(subsets(5, 80), "10.244.0.21:80,10.244.0.22:80,10.244.0.23:80 + 2 more...", id="clusterip"),
        pytest.param(subsets(5), "10.244.0.21,10.244.0.22,10.244.0.23 + 2 more...", id="headless"),
        pytest.param(subsets(5, 53, 80), "10.244.0.21:53,10.244.0.22:53,10.244.0.23:53 + 7 more...", id="nodeport"),
        pytest.param({"subsets": None}, "<none>", id="none"),
        pytest.param({"subsets": [{"addresses": [{"ip": "192.0.2.9"}]}]}, "192.0.2.9", id="noport"),
        pytest.param(
            {"subsets": [{"addresses": [{"ip": "fd00::1"}], "ports": [{"port": 80}]}]}, "[fd00::1]:80", id="IPv6"
        ),
        pytest.param(
            {"subsets": [{"notReadyAddresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]}, "", id="not ready"
        ),
    ],
)
def test_endpoints_cell(obj: Obj, text: str) -> None:
    assert cells(ENDPOINTS, obj) == [text]


def a_slice(addresses: int, *ports: int) -> Obj:
    endpoints = [{"addresses": [f"10.244.0.{21 + n}"]} for n in range(addresses)]
    return {"addressType": "IPv4", "endpoints": endpoints, "ports": [{"name": "", "port": port} for port in ports]}


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        pytest.param(a_slice(5, 80), ["IPv4", "80", "10.244.0.21,10.244.0.22,10.244.0.23 + 2 more..."], id="clusterip"),
        pytest.param(
            {**a_slice(5), "ports": None},
            ["IPv4", "<unset>", "10.244.0.21,10.244.0.22,10.244.0.23 + 2 more..."],
            id="headless",
        ),
        pytest.param(a_slice(1, 80, 81, 82, 83), ["IPv4", "80,81,82 + 1 more...", "10.244.0.21"], id="slice-many"),
        pytest.param({**a_slice(0, 80), "endpoints": None}, ["IPv4", "80", "<unset>"], id="empty"),
        pytest.param({**a_slice(0), "ports": [{"name": "web"}, {}]}, ["IPv4", "web,*", "<unset>"], id="unnumbered"),
    ],
)
def test_slice_cells(obj: Obj, expected: list[str]) -> None:
    assert cells(ENDPOINTSLICE, obj) == expected


INFO = {
    "kubeletVersion": "v1.36.0",
    "osImage": "Debian GNU/Linux 12",
    "kernelVersion": "6.1.0",
    "architecture": "amd64",
    "containerRuntimeVersion": "containerd://2.0",
}


def node(ready: str | None, *, labels: Obj | None = None, info: Obj | None = None, **spec: Any) -> Obj:
    conditions = [{"type": "Ready", "status": ready}] if ready else []
    addresses = [{"type": "InternalIP", "address": "192.0.2.1"}]
    status = {"conditions": conditions, "addresses": addresses, "nodeInfo": info or {}}
    return {"metadata": {"name": "n", "labels": labels or {}}, "spec": spec, "status": status}


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        pytest.param(
            node("True", labels={"node-role.kubernetes.io/control-plane": ""}, info=INFO),
            "Ready control-plane v1.36.0 192.0.2.1 <none> Debian_GNU/Linux_12 6.1.0_(amd64) containerd://2.0",
            id="tn1",
        ),
        pytest.param(
            node("False", info=INFO, unschedulable=True),
            "NotReady,SchedulingDisabled <none> v1.36.0 192.0.2.1 <none> Debian_GNU/Linux_12 6.1.0_(amd64) "
            "containerd://2.0",
            id="tn2",
        ),
        pytest.param(
            node(None, labels={"kubernetes.io/role": "edge"}),
            "Unknown edge  192.0.2.1 <none> <unknown> <unknown> <unknown>",
            id="nothing known",
        ),
    ],
)
def test_node_cells(obj: Obj, expected: str) -> None:
    assert cells(NODE, obj) == [part.replace("_", " ") for part in expected.split(" ")]


def event(**fields: Any) -> Obj:
    involved = {"kind": "Pod", "name": "p", "namespace": "default"}
    return {"apiVersion": "v1", "metadata": {"name": "ev1"}, "involvedObject": involved, "type": "Normal", **fields}


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        pytest.param(
            event(
                reason="Started",
                message="hello\n",
                source={"component": "kubelet", "host": "tn1"},
                firstTimestamp=FIVE_SECONDS_AGO,
                lastTimestamp=FIVE_SECONDS_AGO,
                count=3,
            ),
            ["5s", "Normal", "Started", "pod/p", "", "kubelet, tn1", "hello", "5s", 3, "ev1"],
            id="ev1",
        ),
        pytest.param(
            event(reason="R", message="m", source={"component": "c"}, firstTimestamp=FIVE_SECONDS_AGO),
            ["5s", "Normal", "R", "pod/p", "", "c", "m", "5s", 1, "ev1"],
            id="seen once",
        ),
        pytest.param(
            event(
                reason="R",
                message="m",
                eventTime=FIVE_SECONDS_AGO,
                series={"count": 7, "lastObservedTime": THREE_SECONDS_AGO},
                reportingComponent="c",
                reportingInstance="i",
            ),
            ["3s", "Normal", "R", "pod/p", "", "c, i", "m", "5s", 7, "ev1"],
            id="a series",
        ),
        pytest.param(
            event(reason="R", message="m", source={}),
            ["<unknown>", "Normal", "R", "pod/p", "", "", "m", "<unknown>", 1, "ev1"],
            id="no time at all",
        ),
    ],
)
def test_event_cells_are_the_same_in_both_shapes(obj: Obj, expected: list[Any]) -> None:
    assert cells(EVENT, obj) == expected
    assert cells(EVENT, convert(obj, gvr.EVENTS)) == expected


def test_event_goes_to_the_newer_shape_and_back() -> None:
    old = event(message="m", source={"component": "c"}, count=2, firstTimestamp=FIVE_SECONDS_AGO, reason="R")
    new = convert(old, gvr.EVENTS)
    assert new == {
        "apiVersion": "events.k8s.io/v1",
        "metadata": {"name": "ev1"},
        "regarding": {"kind": "Pod", "name": "p", "namespace": "default"},
        "type": "Normal",
        "note": "m",
        "deprecatedSource": {"component": "c"},
        "deprecatedCount": 2,
        "deprecatedFirstTimestamp": FIVE_SECONDS_AGO,
        "reason": "R",
    }
    assert convert(new, gvr.EVENTS_V1) == old
    assert convert(old, gvr.EVENTS_V1) is old


@pytest.mark.parametrize(
    ("row", "obj", "expected"),
    [
        pytest.param(CONFIGMAP, {"data": {"a": "", "b": ""}, "binaryData": {"c": ""}}, [3], id="coredns"),
        pytest.param(CONFIGMAP, {"data": None}, [0], id="empty ConfigMap"),
        pytest.param(LEASE, {"spec": {"holderIdentity": "me"}}, ["me"], id="lease"),
        pytest.param(
            PERSISTENTVOLUMECLAIM,
            {"spec": {"volumeMode": "Filesystem"}, "status": {"phase": "Pending"}},
            ["Pending", "", "", "", "", "<unset>", "Filesystem"],
            id="pvc",
        ),
    ],
)
def test_cells(row: Resource, obj: Obj, expected: list[Any]) -> None:
    assert cells(row, obj) == expected


@pytest.mark.parametrize(
    ("row", "label", "obj", "value"),
    [
        (SECRET, "type", {"type": "Opaque"}, "Opaque"),
        (NODE, "spec.unschedulable", {"spec": {"unschedulable": True}}, "true"),
        (NODE, "spec.unschedulable", {}, "false"),
        (NAMESPACE, "status.phase", {"status": {"phase": "Active"}}, "Active"),
        (EVENT, "involvedObject.name", event(), "p"),
        (EVENT, "involvedObject.uid", event(), ""),
        (EVENT, "source", event(source={"component": "c"}), "c"),
        (EVENT, "reportingComponent", event(reportingComponent="r"), "r"),
    ],
)
def test_field_selectors(row: Resource, label: str, obj: Obj, value: str) -> None:
    assert row.field_selectors[label](obj) == value


def test_requests_for_endpoints_are_answered_with_a_warning() -> None:
    assert ENDPOINTS.deprecated == "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"
