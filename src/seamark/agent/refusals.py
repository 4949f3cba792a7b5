"""What a pod asks for that this node does not do yet, said by field: never ignored in silence.

Two degrees. *Refused*: the pod would not be what its author meant (a missing volume, a host namespace), so nothing
of it starts; its containers wait with reason ``UnsupportedFeature``. *Ignored*: the pod works, only less confined or
less limited than asked, and an Event says so once. Extending the agent means taking a line out of here.
"""

from __future__ import annotations

from collections.abc import Iterator

from seamark.agent.podspec import Container, Pod, Probe, Projected, Volume

REASON = "UnsupportedFeature"


def select_refused(pod: Pod) -> tuple[str, ...]:
    """``field: why`` for everything that keeps the pod from starting."""
    return (
        *_refused_in_pod(pod),
        *(text for volume in pod.spec.volumes or [] for text in _refused_in_volume(volume)),
        *(text for path, c in _containers(pod) for text in _refused_in_container(path, c, pod)),
    )


def select_ignored(pod: Pod) -> tuple[str, ...]:
    """``field: what happens instead`` for everything that is not applied although the pod runs."""
    spec = pod.spec
    told = [
        (spec.resources, "spec.resources: limits of the whole pod are not enforced, those of containers are"),
    ]
    found = [text for value, text in told if value]
    return tuple(found)


def select_refused_ephemeral(pod: Pod, container: Container) -> tuple[str, ...]:
    """The same for a container that joins a pod which runs already: only it does not start."""
    return tuple(_refused_in_container(f"spec.ephemeralContainers[{container.name}]", container, pod))


def _containers(pod: Pod) -> Iterator[tuple[str, Container]]:
    for container in pod.spec.init_containers:
        yield f"spec.initContainers[{container.name}]", container
    for container in pod.spec.containers:
        yield f"spec.containers[{container.name}]", container


def _refused_in_pod(pod: Pod) -> Iterator[str]:
    spec, security = pod.spec, pod.spec.security_context
    asked = [
        (spec.host_users is False, "spec.hostUsers: user namespaces are not set up"),
        (spec.resource_claims, "spec.resourceClaims: dynamic resources are not allocated"),
        (spec.hostname_override, "spec.hostnameOverride: not done; use spec.hostname"),
        (isinstance(spec.os, dict) and spec.os.get("name") == "windows", "spec.os.name: this node runs linux"),
        (security.se_linux_options, "spec.securityContext.seLinuxOptions: no SELinux label is applied"),
        (security.windows_options, "spec.securityContext.windowsOptions: this node runs linux"),
    ]
    return (text for value, text in asked if value)


def _refused_in_volume(volume: Volume) -> Iterator[str]:
    path = f"spec.volumes[{volume.name}]"
    known = (
        volume.empty_dir,
        volume.config_map,
        volume.secret,
        volume.projected,
        volume.downward_api,
        volume.host_path,
        volume.persistent_volume_claim,
    )
    if all(source is None for source in known):
        done = "emptyDir, configMap, secret, projected, downwardAPI, hostPath, persistentVolumeClaim"
        yield f"{path}: a volume of this kind is not provided; there are {done}"
    if volume.empty_dir and volume.empty_dir.medium not in ("", "Memory"):
        yield f"{path}.emptyDir.medium: {volume.empty_dir.medium!r} is not provided; there are disk (empty) and Memory"
    if volume.host_path and volume.host_path.type not in _HOST_PATH_TYPES:
        yield f"{path}.hostPath.type: {volume.host_path.type!r} is not one of {', '.join(_HOST_PATH_TYPES[1:])}"
    yield from _refused_in_projected(path, volume.projected)


_HOST_PATH_TYPES = (
    "",
    "DirectoryOrCreate",
    "Directory",
    "FileOrCreate",
    "File",
    "Socket",
    "CharDevice",
    "BlockDevice",
)


def _refused_in_projected(path: str, projected: Projected | None) -> Iterator[str]:
    for index, source in enumerate(projected.sources or [] if projected else []):
        where = f"{path}.projected.sources[{index}]"
        if source.cluster_trust_bundle is not None:
            yield f"{where}.clusterTrustBundle: not provided"
        if source.pod_certificate is not None:
            yield f"{where}.podCertificate: not provided"


def _refused_in_container(path: str, container: Container, pod: Pod) -> Iterator[str]:
    security = container.security_context
    asked = [
        (container.volume_devices, f"{path}.volumeDevices: block devices are not provided"),
        (container.restart_policy_rules, f"{path}.restartPolicyRules: not done; use spec.restartPolicy"),
        (container.resources.claims, f"{path}.resources.claims: dynamic resources are not allocated"),
        (security.se_linux_options, f"{path}.securityContext.seLinuxOptions: no SELinux label is applied"),
        (security.windows_options, f"{path}.securityContext.windowsOptions: this node runs linux"),
    ]
    if container.restart_policy not in ("", "Always") or (
        container.restart_policy and container not in pod.spec.init_containers
    ):
        yield f"{path}.restartPolicy: {container.restart_policy!r}; only Always, on an init container"
    yield from (text for value, text in asked if value)
    for mount in container.volume_mounts or []:
        where = f"{path}.volumeMounts[{mount.mount_path}]"
        if mount.mount_propagation not in ("", "None"):
            yield f"{where}.mountPropagation: only None"
        if (mount.sub_path or mount.sub_path_expr) and mount.name in _in_memory(pod):
            yield f"{where}.subPath: not done in an emptyDir of medium Memory; mount the whole volume"
        if mount.recursive_read_only == "Enabled":
            yield f"{where}.recursiveReadOnly: Enabled is not done; use Disabled or IfPossible"
    for name in ("liveness_probe", "readiness_probe", "startup_probe"):
        yield from _refused_in_probe(f"{path}.{name.replace('_p', 'P')}", getattr(container, name))
    for var in container.env or []:
        if var.value_from and var.value_from.file_key_ref is not None:
            yield f"{path}.env[{var.name}].valueFrom.fileKeyRef: not done; use configMapKeyRef or secretKeyRef"
    yield from _refused_in_lifecycle(path, container)


def _in_memory(pod: Pod) -> frozenset[str]:
    return frozenset(v.name for v in pod.spec.volumes or [] if v.empty_dir and v.empty_dir.medium == "Memory")


def _refused_in_probe(path: str, probe: Probe | None) -> Iterator[str]:
    if probe is None:
        return
    if not (probe.exec or probe.http_get or probe.tcp_socket or probe.grpc):
        yield f"{path}: names none of exec, httpGet, tcpSocket, grpc"


def _refused_in_lifecycle(path: str, container: Container) -> Iterator[str]:
    lifecycle = container.lifecycle
    if lifecycle is None:
        return
    for name, hook in (("postStart", lifecycle.post_start), ("preStop", lifecycle.pre_stop)):
        if hook is not None and not (hook.exec or hook.http_get or hook.sleep):
            yield f"{path}.lifecycle.{name}: only exec, httpGet and sleep"
