"""core/v1 Pod, as the node agent honours it: far more than ``model.pod`` reads.

Fields that exist in the API and are not honoured yet are declared too, as ``Any``, so that ``agent/refusals.py`` can
name each of them to the user: nothing is ignored in silence. Fields that other parts answer for (node selection) are
left out.
"""

from __future__ import annotations

from typing import Any

import msgspec

from seamark.compile.resolvconf import PodDnsConfig
from seamark.model.meta import Object, Projection
from seamark.model.pod import PodCondition, PodIP

field = msgspec.field
Quantities = dict[str, str | int | float]


class KeyToPath(Projection, frozen=True):
    key: str = ""
    path: str = ""
    mode: int | None = None


class KeyRef(Projection, frozen=True):
    """configMapKeyRef and secretKeyRef."""

    name: str = ""
    key: str = ""
    optional: bool = False


class FieldRef(Projection, frozen=True):
    api_version: str = "v1"
    field_path: str = ""


class ResourceFieldRef(Projection, frozen=True):
    container_name: str = ""
    resource: str = ""
    divisor: str | int | float = "0"


class EnvVarSource(Projection, frozen=True):
    field_ref: FieldRef | None = None
    resource_field_ref: ResourceFieldRef | None = None
    config_map_key_ref: KeyRef | None = None
    secret_key_ref: KeyRef | None = None
    file_key_ref: Any = None


class EnvVar(Projection, frozen=True):
    name: str = ""
    value: str = ""
    value_from: EnvVarSource | None = None


class NamedRef(Projection, frozen=True):
    name: str = ""
    optional: bool = False


class EnvFrom(Projection, frozen=True):
    prefix: str = ""
    config_map_ref: NamedRef | None = None
    secret_ref: NamedRef | None = None


class ContainerPort(Projection, frozen=True):
    name: str = ""
    container_port: int = 0
    protocol: str = "TCP"
    host_port: int = 0
    host_ip: str = field(default="", name="hostIP")


class ExecAction(Projection, frozen=True):
    command: list[str] | None = None


class HTTPHeader(Projection, frozen=True):
    name: str = ""
    value: str = ""


class HTTPGetAction(Projection, frozen=True):
    path: str = "/"
    port: int | str = 0
    host: str = ""
    scheme: str = "HTTP"
    http_headers: list[HTTPHeader] | None = None


class TCPSocketAction(Projection, frozen=True):
    port: int | str = 0
    host: str = ""


class GRPCAction(Projection, frozen=True):
    port: int = 0
    service: str = ""


class SleepAction(Projection, frozen=True):
    seconds: int = 0


class Handler(Projection, frozen=True):
    exec: ExecAction | None = None
    http_get: HTTPGetAction | None = None
    sleep: SleepAction | None = None
    tcp_socket: Any = None


class Lifecycle(Projection, frozen=True):
    pre_stop: Handler | None = None
    post_start: Handler | None = None
    stop_signal: str = ""


class Probe(Projection, frozen=True):
    exec: ExecAction | None = None
    http_get: HTTPGetAction | None = None
    tcp_socket: TCPSocketAction | None = None
    grpc: GRPCAction | None = None
    initial_delay_seconds: int = 0
    timeout_seconds: int = 1
    period_seconds: int = 10
    success_threshold: int = 1
    failure_threshold: int = 3
    termination_grace_period_seconds: int | None = None


class Capabilities(Projection, frozen=True):
    add: list[str] | None = None
    drop: list[str] | None = None


class SeccompProfile(Projection, frozen=True):
    type: str = ""
    localhost_profile: str = ""


class AppArmorProfile(Projection, frozen=True):
    type: str = ""


class Sysctl(Projection, frozen=True):
    name: str = ""
    value: str = ""


class SecurityContext(Projection, frozen=True):
    """Of a container."""

    privileged: bool = False
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    read_only_root_filesystem: bool = False
    capabilities: Capabilities | None = None
    allow_privilege_escalation: bool | None = None
    proc_mount: str = ""
    seccomp_profile: SeccompProfile | None = None
    app_armor_profile: AppArmorProfile | None = None
    se_linux_options: Any = None
    windows_options: Any = None


class PodSecurityContext(Projection, frozen=True):
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    supplemental_groups: list[int] | None = None
    supplemental_groups_policy: str = ""
    fs_group: int | None = None
    fs_group_change_policy: str = ""
    sysctls: list[Sysctl] | None = None
    seccomp_profile: SeccompProfile | None = None
    app_armor_profile: AppArmorProfile | None = None
    se_linux_options: Any = None
    windows_options: Any = None


class Resources(Projection, frozen=True):
    limits: Quantities | None = None
    requests: Quantities | None = None
    claims: Any = None


class VolumeMount(Projection, frozen=True):
    name: str = ""
    mount_path: str = ""
    read_only: bool = False
    sub_path: str = ""
    sub_path_expr: str = ""
    mount_propagation: str = ""
    recursive_read_only: str = ""


class Container(Projection, frozen=True):
    name: str = ""
    image: str = ""
    command: list[str] | None = None
    args: list[str] | None = None
    working_dir: str = ""
    ports: list[ContainerPort] | None = None
    env: list[EnvVar] | None = None
    env_from: list[EnvFrom] | None = None
    resources: Resources = Resources()
    volume_mounts: list[VolumeMount] | None = None
    volume_devices: Any = None
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    startup_probe: Probe | None = None
    lifecycle: Lifecycle | None = None
    termination_message_path: str = "/dev/termination-log"
    termination_message_policy: str = "File"
    image_pull_policy: str = ""
    security_context: SecurityContext = SecurityContext()
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    restart_policy: str = ""  # "Always" on an init container makes it a sidecar
    restart_policy_rules: Any = None
    target_container_name: str = ""  # of an ephemeral container: whose processes it looks at

    @property
    def pull_policy(self) -> str:
        """As given, else Always for a ``latest`` image and IfNotPresent for any other."""
        if self.image_pull_policy:
            return self.image_pull_policy
        tag = self.image.rpartition("/")[2].partition("@")[0].partition(":")[2]
        return "Always" if tag in ("", "latest") and "@" not in self.image else "IfNotPresent"


class EmptyDir(Projection, frozen=True):
    medium: str = ""
    size_limit: str | int | None = None


class FilesSource(Projection, frozen=True):
    """ConfigMap and Secret volumes and projections: the API names a Secret's differently in a plain volume."""

    name: str = ""
    secret_name: str = ""
    items: list[KeyToPath] | None = None
    default_mode: int | None = None
    optional: bool = False


class DownwardFile(Projection, frozen=True):
    path: str = ""
    field_ref: FieldRef | None = None
    resource_field_ref: ResourceFieldRef | None = None
    mode: int | None = None


class DownwardSource(Projection, frozen=True):
    items: list[DownwardFile] | None = None
    default_mode: int | None = None


class TokenSource(Projection, frozen=True):
    audience: str = ""
    expiration_seconds: int = 3600
    path: str = ""


class ProjectedSource(Projection, frozen=True):
    config_map: FilesSource | None = None
    secret: FilesSource | None = None
    downward_api: DownwardSource | None = field(default=None, name="downwardAPI")
    service_account_token: TokenSource | None = None
    cluster_trust_bundle: Any = None
    pod_certificate: Any = None


class Projected(Projection, frozen=True):
    sources: list[ProjectedSource] | None = None
    default_mode: int | None = None


class HostPath(Projection, frozen=True):
    path: str = ""
    type: str = ""


class ClaimSource(Projection, frozen=True):
    claim_name: str = ""
    read_only: bool = False


class Volume(Projection, frozen=True):
    """Any further source (nfs, csi, …) leaves every field below empty: refused by name. A claim gets the place of its
    volume as ``host_path`` (``agent/claims.py``).
    """

    name: str = ""
    empty_dir: EmptyDir | None = None
    config_map: FilesSource | None = None
    secret: FilesSource | None = None
    projected: Projected | None = None
    downward_api: DownwardSource | None = field(default=None, name="downwardAPI")
    host_path: HostPath | None = None
    persistent_volume_claim: ClaimSource | None = None


class HostAlias(Projection, frozen=True):
    ip: str = ""
    hostnames: list[str] | None = None


class ReadinessGate(Projection, frozen=True):
    condition_type: str = ""


class PodSpec(Projection, frozen=True):
    node_name: str = ""
    containers: list[Container] = field(default_factory=list)
    init_containers: list[Container] = field(default_factory=list)
    ephemeral_containers: list[Container] = field(default_factory=list)
    volumes: list[Volume] | None = None
    restart_policy: str = "Always"
    termination_grace_period_seconds: int = 30
    active_deadline_seconds: int | None = None
    dns_policy: str = "ClusterFirst"
    dns_config: PodDnsConfig | None = None
    service_account_name: str = ""
    host_network: bool = False
    hostname: str = ""
    hostname_override: str = ""
    subdomain: str = ""
    set_hostname_as_fqdn: bool = field(default=False, name="setHostnameAsFQDN")
    host_aliases: list[HostAlias] | None = None
    enable_service_links: bool = True
    readiness_gates: list[ReadinessGate] | None = None
    security_context: PodSecurityContext = PodSecurityContext()
    image_pull_secrets: list[NamedRef] | None = None
    host_pid: bool = field(default=False, name="hostPID")
    host_ipc: bool = field(default=False, name="hostIPC")
    host_users: bool | None = None
    share_process_namespace: bool = False
    runtime_class_name: str = ""
    priority: int = 0
    tolerations: list[dict[str, Any]] | None = None
    resource_claims: Any = None
    resources: Any = None
    os: Any = None

    @property
    def all_containers(self) -> tuple[Container, ...]:
        return (*self.init_containers, *self.containers, *self.ephemeral_containers)


class Waiting(Projection, frozen=True):
    reason: str = ""
    message: str = ""


class Running(Projection, frozen=True):
    started_at: str | None = None


class Terminated(Projection, frozen=True):
    exit_code: int = 0
    signal: int = 0
    reason: str = ""
    message: str = ""
    started_at: str | None = None
    finished_at: str | None = None
    container_id: str = field(default="", name="containerID")


class State(Projection, frozen=True):
    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(Projection, frozen=True):
    name: str = ""
    state: State = State()
    last_state: State = State()
    ready: bool = False
    started: bool | None = None
    restart_count: int = 0
    image: str = ""
    image_id: str = field(default="", name="imageID")
    container_id: str = field(default="", name="containerID")


class PodStatus(Projection, frozen=True):
    """What an earlier look (perhaps of an earlier agent) wrote."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    start_time: str | None = None
    pod_ip: str = field(default="", name="podIP")
    pod_ips: list[PodIP] | None = field(default=None, name="podIPs")
    host_ip: str = field(default="", name="hostIP")
    conditions: list[PodCondition] | None = None
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None
    ephemeral_container_statuses: list[ContainerStatus] | None = None

    @property
    def all_statuses(self) -> tuple[ContainerStatus, ...]:
        listed = (self.init_container_statuses, self.container_statuses, self.ephemeral_container_statuses)
        return tuple(status for statuses in listed for status in statuses or ())


class Pod(Object, frozen=True):
    """``static_uid``: of a static pod, as the agent knows it; its mirrors in the API come and go (staticpods.py)."""

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()
    static_uid: str = ""

    @property
    def uid(self) -> str:
        return self.static_uid or self.metadata.uid

    @property
    def is_terminating(self) -> bool:
        return self.metadata.deletion_timestamp is not None and not self.static_uid

    @property
    def is_finished(self) -> bool:
        return self.status.phase in ("Succeeded", "Failed")

    def written(self, name: str) -> ContainerStatus | None:
        """The container's status as it stands in the API."""
        return next((s for s in self.status.all_statuses if s.name == name), None)

    def container(self, name: str) -> Container | None:
        return next((c for c in self.spec.all_containers if c.name == name), None)
