"""Pods: defaults, admission, what is written with the status and what with the rest."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from seamark.machinery.gvr import SERVICEACCOUNTS
from seamark.machinery.status import StatusError
from seamark.machinery.usage import qos_class_of
from seamark.resources.core.pod import POD
from seamark.resources.core.podspec_defaults import pull_policy_of
from seamark.testing.builders import sent_pod as pod
from seamark.testing.writes import Writes, shown

Obj = dict[str, Any]
WRITES = Writes(POD)
create, refused, update = WRITES.create, WRITES.refused, WRITES.update


def container(**fields: Any) -> Obj:
    return {"name": "c", "image": "nginx:1", **fields}


def test_plain_pod_gets_every_default() -> None:
    made = create(pod())
    name = made["spec"]["volumes"][0]["name"]
    assert name.startswith("kube-api-access-") and len(name) == len("kube-api-access-") + 5
    assert made["spec"] == {
        "containers": [
            {
                "name": "c",
                "image": "nginx:1",
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "imagePullPolicy": "IfNotPresent",
                "volumeMounts": [
                    {"name": name, "readOnly": True, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
                ],
            }
        ],
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "serviceAccountName": "default",
        "serviceAccount": "default",
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "enableServiceLinks": True,
        "preemptionPolicy": "PreemptLowerPriority",
        "priority": 0,
        "tolerations": [
            {
                "key": f"node.kubernetes.io/{taint}",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": 300,
            }
            for taint in ("not-ready", "unreachable")
        ],
        "volumes": [
            {
                "name": name,
                "projected": {
                    "defaultMode": 420,
                    "sources": [
                        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                        {
                            "downwardAPI": {
                                "items": [
                                    {
                                        "path": "namespace",
                                        "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                                    }
                                ]
                            }
                        },
                    ],
                },
            }
        ],
    }
    assert made["status"] == {"phase": "Pending", "qosClass": "BestEffort"}


def test_created_pod_is_valid_and_default_again_changes_nothing() -> None:
    assert POD.default and POD.validate
    made = create(pod())
    assert POD.validate(made) == []
    again = deepcopy(made)
    POD.default(again)
    assert again == made


def test_two_pods_have_two_token_volumes_and_one_pod_always_the_same() -> None:
    other = pod()
    other["metadata"]["uid"] = "u-2"
    names = [create(obj)["spec"]["volumes"][0]["name"] for obj in (pod(), pod(), other)]
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1", "IfNotPresent"),
        ("192.168.10.33:80/k8s/pod_test:v0.1", "IfNotPresent"),
        ("192.168.10.33:80/k8s/pod_test", "Always"),
        ("nginx@sha256:00", "IfNotPresent"),
        ("nginx:latest@sha256:00", "Always"),
        ("localhost/a_b/c", "Always"),
        ("No Image", "IfNotPresent"),
    ],
)
def test_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    assert pull_policy_of(image) == policy


PROBE_DEFAULTS = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(
            container(ports=[{"containerPort": 80}]),
            {"ports": [{"containerPort": 80, "protocol": "TCP"}]},
            id="port protocol",
        ),
        pytest.param(
            container(readinessProbe={"httpGet": {"port": 80}, "periodSeconds": 2}),
            {
                "readinessProbe": {
                    "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
                    **PROBE_DEFAULTS,
                    "periodSeconds": 2,
                }
            },
            id="http probe",
        ),
        pytest.param(
            container(livenessProbe={"exec": {"command": ["true"]}}),
            {"livenessProbe": {"exec": {"command": ["true"]}, **PROBE_DEFAULTS}},
            id="exec probe",
        ),
        pytest.param(
            container(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]),
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}}]},
            id="field reference",
        ),
        pytest.param(
            container(resources={"limits": {"cpu": "1"}, "requests": {"memory": "1Mi"}}),
            {"resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1", "memory": "1Mi"}}},
            id="limits are requests",
        ),
    ],
)
def test_container_defaults(given: Obj, expected: Obj) -> None:
    found = create(pod(given))["spec"]["containers"][0]
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({"name": "v"}, {"emptyDir": {}}, id="no source is emptyDir"),
        pytest.param(
            {"name": "v", "secret": {"secretName": "s"}},
            {"secret": {"secretName": "s", "defaultMode": 420}},
            id="secret",
        ),
        pytest.param(
            {"name": "v", "configMap": {"name": "c", "defaultMode": 256}},
            {"configMap": {"name": "c", "defaultMode": 256}},
            id="a given mode is kept",
        ),
        pytest.param(
            {"name": "v", "hostPath": {"path": "/x"}}, {"hostPath": {"path": "/x", "type": ""}}, id="hostPath"
        ),
        pytest.param(
            {"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
            {
                "projected": {
                    "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}],
                    "defaultMode": 420,
                }
            },
            id="projected token",
        ),
    ],
)
def test_volume_defaults(given: Obj, expected: Obj) -> None:
    assert create(pod(volumes=[given]))["spec"]["volumes"][0] == {"name": "v", **expected}


def test_own_account_and_no_token() -> None:
    made = create(pod(serviceAccountName="robot", automountServiceAccountToken=False))["spec"]
    assert made["serviceAccount"] == "robot"
    assert "volumes" not in made and "volumeMounts" not in made["containers"][0]


def test_the_account_is_looked_up_in_the_namespace_of_the_pod() -> None:
    assert POD.references
    assert POD.references(create(pod(serviceAccountName="robot"))) == [(SERVICEACCOUNTS, "default", "robot")]
    mirrored = pod()
    mirrored["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "1"}
    assert POD.references(create(mirrored)) == []


def test_account_that_wants_no_token_takes_the_volume_back() -> None:
    assert POD.admit
    made = create(pod())
    POD.admit(made, [{"automountServiceAccountToken": False}])
    assert "volumes" not in made["spec"] and "volumeMounts" not in made["spec"]["containers"][0]
    asked = create(pod(automountServiceAccountToken=True))
    POD.admit(asked, [{"automountServiceAccountToken": False}])
    assert asked["spec"]["volumes"]


def test_pull_secrets_of_the_account_are_those_of_a_pod_without() -> None:
    assert POD.admit
    for given, expected in (({}, [{"name": "a"}]), ({"imagePullSecrets": [{"name": "b"}]}, [{"name": "b"}])):
        made = create(pod(**given))
        POD.admit(made, [{"imagePullSecrets": [{"name": "a"}]}])
        assert made["spec"]["imagePullSecrets"] == expected


def test_missing_account_is_refused_unless_it_is_the_default_one() -> None:
    assert POD.admit
    POD.admit(create(pod()), [None])
    message = 'error looking up service account default/robot: serviceaccount "robot" not found'
    with pytest.raises(StatusError, match=f'pods "web" is forbidden: {message}'):
        POD.admit(create(pod(serviceAccountName="robot")), [None])


def test_own_toleration_is_left_alone() -> None:
    given = {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}
    found = create(pod(tolerations=[given]))["spec"]["tolerations"]
    assert [t["key"] for t in found] == ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]
    assert found[0] == given
    everything = [{"operator": "Exists"}]
    assert create(pod(tolerations=everything))["spec"]["tolerations"] == everything


def test_host_network_ports_are_host_ports() -> None:
    made = create(pod(container(ports=[{"containerPort": 80}]), hostNetwork=True))
    assert made["spec"]["containers"][0]["ports"][0]["hostPort"] == 80


def test_system_priority() -> None:
    assert create(pod(priorityClassName="system-cluster-critical"))["spec"]["priority"] == 2000000000


@pytest.mark.parametrize(
    ("containers", "expected"),
    [
        pytest.param([{}], "BestEffort", id="nothing asked"),
        pytest.param([{"requests": {"cpu": "1"}}], "Burstable", id="a request"),
        pytest.param([{"limits": {"cpu": "1", "memory": "1Gi"}}], "Guaranteed", id="limits only"),
        pytest.param(
            [{"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}}],
            "Guaranteed",
            id="the same amounts, written otherwise",
        ),
        pytest.param([{"limits": {"cpu": "1", "memory": "1Gi"}}, {}], "Burstable", id="one without"),
        pytest.param([{"requests": {"cpu": "0"}}], "BestEffort", id="zero is nothing"),
    ],
)
def test_qos_class(containers: list[Obj], expected: str) -> None:
    assert qos_class_of({"containers": [{"resources": r} for r in containers]}) == expected


def test_status_and_spec_are_written_apart() -> None:
    assert POD.prepare_status and POD.validate_status
    old = create(pod())
    new = deepcopy(old)
    new["status"] = {"phase": "Running"}
    assert update(new, old)[0]["status"] == old["status"]
    new["spec"]["nodeName"] = "n2"
    POD.prepare_status(new, old)
    assert new["spec"] == old["spec"]
    assert new["status"] == {"phase": "Running", "qosClass": "BestEffort"}
    new["status"]["qosClass"] = "Guaranteed"
    assert shown(POD.validate_status(new, old)) == ['status.qosClass: Invalid value: "Guaranteed": field is immutable']


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("spec.nodeName", ""),
        ("spec.restartPolicy", "Always"),
        ("spec.schedulerName", "default-scheduler"),
        ("spec.serviceAccountName", "default"),
        ("spec.hostNetwork", "false"),
        ("status.phase", "Pending"),
        ("status.podIP", ""),
        ("status.nominatedNodeName", ""),
    ],
)
def test_field_selectors(label: str, value: str) -> None:
    assert POD.field_selectors[label](create(pod())) == value


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({"podIP": "10.0.0.1"}, {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]}, id="the single one"),
        pytest.param(
            {"podIPs": [{"ip": "10.0.0.1"}]}, {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]}, id="list"
        ),
        pytest.param(
            {"podIP": "10.0.0.2", "podIPs": [{"ip": "10.0.0.1"}]},
            {"podIP": "10.0.0.2", "podIPs": [{"ip": "10.0.0.2"}]},
            id="two that differ",
        ),
    ],
)
def test_address_and_list_of_addresses_agree(given: Obj, expected: Obj) -> None:
    assert POD.prepare_status
    old = create(pod())
    new = {**deepcopy(old), "status": deepcopy(given)}
    POD.prepare_status(new, old)
    assert {name: new["status"].get(name) for name in expected} == expected


def test_negative_grace_is_one_second() -> None:
    assert create(pod(terminationGracePeriodSeconds=-1))["spec"]["terminationGracePeriodSeconds"] == 1


def test_gated_pod_says_so() -> None:
    made = create(pod(schedulingGates=[{"name": "example.com/wait"}]))
    assert made["status"]["conditions"][0]["reason"] == "SchedulingGated"
