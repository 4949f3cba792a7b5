"""Nothing a pod asks for is ignored in silence."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.agent.podspec import Pod
from seamark.agent.refusals import select_ignored, select_refused
from seamark.model import codec


def pod(container: dict[str, Any] | None = None, **spec: Any) -> Pod:
    body = {"containers": [{"name": "c", **(container or {})}], **spec}
    return codec.convert({"metadata": {"name": "web"}, "spec": body}, Pod)


def volume(**source: Any) -> Pod:
    return pod(volumes=[{"name": "v", **source}])


@pytest.mark.parametrize(
    ("of", "field"),
    [
        (pod(hostUsers=False), "spec.hostUsers"),
        (pod(resourceClaims=[{"name": "x"}]), "spec.resourceClaims"),
        (pod(os={"name": "windows"}), "spec.os.name"),
        (pod(securityContext={"seLinuxOptions": {"level": "x"}}), "spec.securityContext.seLinuxOptions"),
        (volume(csi={"driver": "x"}), "spec.volumes[v]"),
        (volume(nfs={"server": "x", "path": "/"}), "spec.volumes[v]"),
        (volume(emptyDir={"medium": "HugePages"}), "spec.volumes[v].emptyDir.medium"),
        (
            pod(
                {"volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "x"}]},
                volumes=[{"name": "v", "emptyDir": {"medium": "Memory"}}],
            ),
            "spec.containers[c].volumeMounts[/v].subPath",
        ),
        (volume(hostPath={"path": "/x", "type": "Odd"}), "spec.volumes[v].hostPath.type"),
        (volume(projected={"sources": [{"clusterTrustBundle": {}}]}), "spec.volumes[v].projected.sources[0]"),
        (pod({"startupProbe": {}}), "spec.containers[c].startupProbe"),
        (pod({"lifecycle": {"postStart": {}}}), "spec.containers[c].lifecycle.postStart"),
        (pod({"lifecycle": {"preStop": {"tcpSocket": {"port": 1}}}}), "spec.containers[c].lifecycle.preStop"),
        (pod({"volumeDevices": [{"name": "x"}]}), "spec.containers[c].volumeDevices"),
        (pod({"restartPolicy": "Always"}), "spec.containers[c].restartPolicy"),
        (
            pod({"volumeMounts": [{"name": "v", "mountPath": "/v", "mountPropagation": "HostToContainer"}]}),
            "spec.containers[c].volumeMounts[/v].mountPropagation",
        ),
        (
            pod({"env": [{"name": "A", "valueFrom": {"fileKeyRef": {"key": "x"}}}]}),
            "spec.containers[c].env[A].valueFrom.fileKeyRef",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refused_by_field(of: Pod, field: str) -> None:
    (text,) = select_refused(of)
    assert text.startswith(field)


@pytest.mark.parametrize(
    ("of", "field"),
    [
        (pod(resources={"limits": {"cpu": "1"}}), "spec.resources"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_ignored_is_told(of: Pod, field: str) -> None:
    assert select_refused(of) == ()
    (text,) = select_ignored(of)
    assert text.startswith(field)


def test_ordinary_pods_pass() -> None:
    container = {
        "livenessProbe": {"httpGet": {"port": 80}},
        "securityContext": {"capabilities": {"drop": ["ALL"]}, "allowPrivilegeEscalation": False},
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
        "resources": {"limits": {"memory": "170Mi"}},
    }
    ordinary = pod(
        container,
        initContainers=[{"name": "i", "restartPolicy": "Always"}],
        volumes=[{"name": "a", "emptyDir": {}}, {"name": "b", "configMap": {"name": "x"}}],
        dnsPolicy="Default",
        priorityClassName="system-cluster-critical",
        tolerations=[{"operator": "Exists"}],
        hostNetwork=False,
    )
    assert select_refused(ordinary) == () and select_ignored(ordinary) == ()
