"""What is refused of a pod, what may change of it later, and what is only warned of."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from seamark.resources.core.pod import POD
from seamark.testing.builders import sent_pod as pod
from seamark.testing.writes import Writes

Obj = dict[str, Any]
WRITES = Writes(POD)
create, refused, update = WRITES.create, WRITES.refused, WRITES.update


def container(**fields: Any) -> Obj:
    return {"name": "c", "image": "nginx:1", **fields}


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
