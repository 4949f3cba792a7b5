"""Pods: defaults, admission, validation of what kubectl users get wrong, and what may change afterwards."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from seamark.machinery.gvr import SERVICEACCOUNTS
from seamark.machinery.status import StatusError
from seamark.machinery.usage import qos_class_of
from seamark.resources.core.pod import POD
from seamark.resources.core.podspec_defaults import pull_policy_of

Obj = dict[str, Any]


def pod(*containers: Obj, **spec: Any) -> Obj:
    given = list(containers) or [{"name": "c", "image": "nginx:1"}]
    meta = {"name": "web", "namespace": "default", "uid": "u-1"}
    return {"metadata": meta, "spec": {"containers": given, **spec}}


def container(**fields: Any) -> Obj:
    return {"name": "c", "image": "nginx:1", **fields}


def create(obj: Obj) -> Obj:
    assert POD.default and POD.prepare_create
    obj = deepcopy(obj)
    POD.default(obj)
    POD.prepare_create(obj)
    return obj


def shown(causes: list[Any]) -> list[str]:
    return [f"{c.field}: {c.message}" for c in causes]


def refused(obj: Obj) -> list[str]:
    assert POD.validate and POD.validate_create
    made = create(obj)
    return shown(POD.validate(made) + POD.validate_create(made))


def update(new: Obj, old: Obj) -> tuple[Obj, list[str]]:
    assert POD.default and POD.prepare_update and POD.validate and POD.validate_update
    new = deepcopy(new)
    POD.default(new)
    POD.prepare_update(new, old)
    return new, shown(POD.validate(new) + POD.validate_update(new, old))


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


LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)


@pytest.mark.parametrize(
    ("obj", "causes"),
    [
        pytest.param(pod(), [], id="nothing wrong"),
        pytest.param({"metadata": {}, "spec": {}}, ["spec.containers: Required value"], id="no containers"),
        pytest.param(pod({"name": "c"}), ["spec.containers[0].image: Required value"], id="no image"),
        pytest.param(
            pod({"name": "Big", "image": "a"}),
            [f'spec.containers[0].name: Invalid value: "Big": {LABEL}'],
            id="container name",
        ),
        pytest.param(
            pod(container(), container()), ['spec.containers[1].name: Duplicate value: "c"'], id="container name twice"
        ),
        pytest.param(
            pod(container(), initContainers=[container()]),
            ['spec.initContainers[0].name: Duplicate value: "c"'],
            id="init container with a container's name",
        ),
        pytest.param(
            pod(initContainers=[container(name="i", readinessProbe={"exec": {"command": ["x"]}})]),
            [
                "spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without "
                "restartPolicy=Always"
            ],
            id="probe of an init container",
        ),
        pytest.param(
            pod(container(imagePullPolicy="Sometimes")),
            [
                'spec.containers[0].imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", '
                '"IfNotPresent", "Never"'
            ],
            id="pull policy",
        ),
        pytest.param(
            pod(restartPolicy="Maybe"),
            [
                'spec.restartPolicy: Unsupported value: "Maybe": supported values: "Always", "OnFailure", "Never"',
            ],
            id="restart policy",
        ),
        pytest.param(
            pod(dnsPolicy="Cluster"),
            [
                'spec.dnsPolicy: Unsupported value: "Cluster": supported values: "ClusterFirstWithHostNet", '
                '"ClusterFirst", "Default", "None"',
            ],
            id="dns policy",
        ),
        pytest.param(
            pod(dnsPolicy="None"),
            ["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"],
            id="dnsPolicy None without config",
        ),
        pytest.param(
            pod(dnsConfig={"nameservers": ["10.0.0.300"], "searches": ["_tcp.a.b.", "."]}),
            [
                'spec.dnsConfig.nameservers[0]: Invalid value: "10.0.0.300": must be a valid IP address, '
                "(e.g. 10.9.8.7 or 2001:db8::ffff)"
            ],
            id="nameserver",
        ),
        pytest.param(
            pod(container(ports=[{"containerPort": 0}, {"containerPort": 70000}])),
            [
                "spec.containers[0].ports[0].containerPort: Required value",
                "spec.containers[0].ports[1].containerPort: Invalid value: 70000: "
                "must be between 1 and 65535, inclusive",
            ],
            id="container ports",
        ),
        pytest.param(
            pod(container(ports=[{"containerPort": 80, "hostPort": 80}, {"containerPort": 81, "hostPort": 80}])),
            ['spec.containers[0].ports[1].hostPort: Duplicate value: "TCP//80"'],
            id="host port twice",
        ),
        pytest.param(
            pod(container(volumeMounts=[{"name": "v", "mountPath": "/v"}])),
            ['spec.containers[0].volumeMounts[0].name: Not found: "v"'],
            id="mount without volume",
        ),
        pytest.param(
            pod(
                container(volumeMounts=[{"name": "v", "mountPath": "/v", "subPath": "../etc"}]),
                volumes=[{"name": "v", "emptyDir": {}}],
            ),
            ["spec.containers[0].volumeMounts.subPath: Invalid value: \"../etc\": must not contain '..'"],
            id="sub path upwards",
        ),
        pytest.param(
            pod(volumes=[{"name": "v", "secret": {}}]),
            ["spec.volumes[0].secret.secretName: Required value"],
            id="secret volume without a name",
        ),
        pytest.param(
            pod(volumes=[{"name": "v", "emptyDir": {}, "secret": {"secretName": "s"}}]),
            ["spec.volumes[0].secret: Forbidden: may not specify more than 1 volume type"],
            id="two sources",
        ),
        pytest.param(
            pod(container(env=[{"name": "A", "valueFrom": {}}])),
            [
                'spec.containers[0].env[0].valueFrom: Invalid value: "": must specify one of: `fieldRef`, '
                "`resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
            ],
            id="environment from nowhere",
        ),
        pytest.param(
            pod(container(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.x"}}}])),
            [
                'spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.x": '
                "error converting fieldPath: field label not supported: spec.x"
            ],
            id="unknown field",
        ),
        pytest.param(
            pod(container(livenessProbe={"periodSeconds": 5})),
            ["spec.containers[0].livenessProbe: Required value: must specify a handler type"],
            id="probe without handler",
        ),
        pytest.param(
            pod(container(livenessProbe={"exec": {"command": ["x"]}, "successThreshold": 2})),
            ["spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1"],
            id="liveness success threshold",
        ),
        pytest.param(
            pod(container(resources={"limits": {"cpu": "1"}, "requests": {"cpu": "2"}})),
            ['spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'],
            id="request over the limit",
        ),
        pytest.param(
            pod(tolerations=[{"value": "x"}]),
            [
                'spec.tolerations[0].operator: Invalid value: "": operator must be Exists when `key` is empty, '
                'which means "match all values and all keys"',
            ],
            id="toleration of nothing",
        ),
        pytest.param(
            pod(hostAliases=[{"ip": "x", "hostnames": ["a"]}]),
            [
                'spec.hostAliases[0].ip: Invalid value: "x": must be a valid IP address, '
                "(e.g. 10.9.8.7 or 2001:db8::ffff)"
            ],
            id="host alias",
        ),
        pytest.param(
            pod(activeDeadlineSeconds=0),
            ["spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"],
            id="deadline",
        ),
        pytest.param(
            pod(ephemeralContainers=[container(name="debug")]),
            ["spec.ephemeralContainers: Forbidden: cannot be set on create"],
            id="ephemeral containers",
        ),
    ],
)
def test_refused_on_create(obj: Obj, causes: list[str]) -> None:
    assert refused(obj) == causes


OTHER_FIELDS = (
    "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing "
    "tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n"
)


@pytest.mark.parametrize(
    ("change", "causes"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param({"activeDeadlineSeconds": 5}, [], id="a deadline"),
        pytest.param({"nodeName": "n2"}, [f"{OTHER_FIELDS}  spec.nodeName"], id="node"),
        pytest.param(
            {"restartPolicy": "Never", "hostname": "x"},
            [f"{OTHER_FIELDS}  spec.hostname\n  spec.restartPolicy"],
            id="several fields",
        ),
        pytest.param(
            {"tolerations": []},
            [],
            id="default tolerations come back",
        ),
        pytest.param(
            {"containers": []},
            [
                "spec.containers: Required value",
                "spec.containers: Forbidden: pod updates may not add or remove containers",
            ],
            id="containers",
        ),
    ],
)
def test_update(change: Obj, causes: list[str]) -> None:
    old = create(pod())
    new = deepcopy(old)
    new["spec"].update(change)
    assert update(new, old)[1] == causes


def test_image_may_change_and_a_deadline_only_shrinks() -> None:
    old = create(pod(activeDeadlineSeconds=10))
    new = deepcopy(old)
    new["spec"]["containers"][0]["image"] = "nginx:2"
    assert update(new, old)[1] == []
    new["spec"]["activeDeadlineSeconds"] = 20
    assert update(new, old)[1] == [
        "spec.activeDeadlineSeconds: Invalid value: 20: must be less than or equal to previous value"
    ]


def test_manifest_may_be_sent_again_without_what_admission_gave() -> None:
    manifest = pod(serviceAccountName="default", automountServiceAccountToken=False)
    old = create(manifest)
    old["spec"] |= {"priority": 7, "preemptionPolicy": "Never"}
    new, causes = update(manifest, old)
    assert causes == []
    assert (new["spec"]["priority"], new["spec"]["preemptionPolicy"]) == (7, "Never")


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
    ("obj", "said"),
    [
        pytest.param(pod(), [], id="nothing to say"),
        pytest.param(
            pod(container(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}])),
            ['spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply'],
            id="variable hidden",
        ),
        pytest.param(
            pod(container(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"}])), [], id="built upon"
        ),
        pytest.param(
            pod(container(ports=[{"containerPort": 80}, {"containerPort": 80}])),
            ["spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]"],
            id="port twice",
        ),
        pytest.param(
            pod(
                container(ports=[{"containerPort": 80, "name": "a"}]),
                container(name="d", ports=[{"containerPort": 81, "name": "a"}]),
            ),
            [
                'spec.containers[1].ports[0]: duplicate port name "a" with spec.containers[0].ports[0], '
                "services and probes that select ports by name will use spec.containers[0].ports[0]"
            ],
            id="port name twice",
        ),
        pytest.param(
            pod(imagePullSecrets=[{"name": "s"}, {"name": "s"}]),
            ['spec.imagePullSecrets[1].name: duplicate name "s"'],
            id="pull secret twice",
        ),
    ],
)
def test_warnings(obj: Obj, said: list[str]) -> None:
    assert POD.warnings
    assert list(POD.warnings(create(obj))) == said


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
