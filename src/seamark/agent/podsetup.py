"""What has to be on disk and known before a pod's sandbox and containers can start.

``prepare`` writes the pod's directory, ``refresh`` brings volumes up to date when a ConfigMap, Secret, label or token
changed, ``configure`` turns a container of the spec into what the runtime takes. Everything that goes wrong is a
SetupError whose reason and text kubectl shows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, cast

from seamark.agent.admission import normalize_sysctl
from seamark.agent.claims import ClaimKeeper, prepare_place
from seamark.agent.configdata import Configs, select_logins, select_references
from seamark.agent.context import NodeContext
from seamark.agent.downward import ConfigError, PodFacts
from seamark.agent.environment import Environment, plan_environment
from seamark.agent.hostports import select_host_ports
from seamark.agent.hosts import HostnameError, render_hosts, select_domain, select_hostname, select_uts_name
from seamark.agent.poddir import PodDir, check_host_path, plan_mounts
from seamark.agent.podspec import Container, Pod, SeccompProfile, Volume
from seamark.agent.refusals import select_refused_ephemeral
from seamark.agent.tokens import TokenKeeper
from seamark.agent.volumefiles import set_volume_group, write_files
from seamark.agent.volumes import Files, VolumeError, has_files, is_in_memory, plan_files
from seamark.compile.env import compile_env
from seamark.compile.resolvconf import NodeDns, PodDns, Warned, compile_resolvconf, render_resolv_conf
from seamark.linux.runtime import RUNTIME_DEFAULT, ContainerConfig, Image, Mount, RuntimeFault, SandboxConfig
from seamark.machinery.gvr import RUNTIMECLASSES
from seamark.machinery.quantity import parse_quantity
from seamark.machinery.status import StatusError
from seamark.model.snapshot import Snapshot

PullPolicy = Literal["Always", "IfNotPresent", "Never"]


class SetupError(Exception):
    """``reason`` is an Event's (FailedMount, …) or a container's waiting reason."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Configured:
    """``skipped``: keys of envFrom that cannot be variable names."""

    config: ContainerConfig
    skipped: tuple[str, ...]


class PodSetup:
    """Of one pod. ``wake`` is called when something it read has changed."""

    def __init__(self, context: NodeContext, uid: str, *, wake: Callable[[], None]) -> None:
        self.directory = PodDir.of(context.config.state_dir, uid)
        self._context = context
        self._uid = uid
        self._wake = wake
        self._tokens = TokenKeeper(context.client, context.clock)
        self._claims = ClaimKeeper(context.client)

    @property
    def renew_at(self) -> float | None:
        """When a token has to be renewed."""
        return self._tokens.renew_at

    async def prepare(self, pod: Pod, ip: str) -> tuple[SandboxConfig, tuple[Warned, ...]]:
        """Files and volumes, but for those that only the sandbox will see (``refresh`` fills them); the sandbox to
        create, and what to warn of.
        """
        config = self._context.config
        try:
            hostname = select_uts_name(pod, node=config.node, cluster_domain=config.cluster_domain)
        except HostnameError as error:
            raise SetupError("FailedCreatePodSandBox", str(error)) from error
        try:
            warnings = self._write_names(pod, ip, hostname)
        except OSError as error:
            raise SetupError("FailedMount", f"writing {error.filename}: {error.strerror}") from error
        await self._fill_volumes(pod, ip, in_memory=False)
        handler = await self._handler(pod.spec.runtime_class_name)
        host_network = pod.spec.host_network
        sandbox = SandboxConfig(
            uid=pod.uid,
            namespace=pod.metadata.namespace,
            name=pod.metadata.name,
            hostname=hostname,
            ip="" if host_network else ip,
            host_network=host_network,
            host_pid=pod.spec.host_pid,
            host_ipc=pod.spec.host_ipc,
            share_pid=pod.spec.share_process_namespace,
            sysctls=tuple((normalize_sysctl(s.name), s.value) for s in pod.spec.security_context.sysctls or []),
            host_ports=select_host_ports(pod),
            handler=handler,
            memory=tuple(str(self.directory.volume(v.name)) for v in pod.spec.volumes or [] if is_in_memory(v)),
        )
        return sandbox, warnings

    async def _handler(self, runtime_class: str) -> str:
        """In kubelet's words where there is no such RuntimeClass."""
        if not runtime_class:
            return ""
        try:
            return str((await self._context.client.get(RUNTIMECLASSES, runtime_class))["handler"])
        except StatusError as error:
            text = f'failed to get runtime class "{runtime_class}": {error.message}'
            raise SetupError("FailedCreatePodSandBox", f"Failed to create pod sandbox: {text}") from error

    async def refresh(self, pod: Pod, ip: str) -> None:
        """Volumes as the API has them now. Raises SetupError, RuntimeFault where the sandbox is gone."""
        await self._fill_volumes(pod, ip, in_memory=True)

    async def _fill_volumes(self, pod: Pod, ip: str, *, in_memory: bool) -> None:
        """All of them, or those on the disk alone."""
        pod, files = await self._plan_volumes(pod, ip)
        for volume in pod.spec.volumes or []:
            if is_in_memory(volume) and not in_memory:
                continue
            place = self.directory.volume(volume.name)
            try:
                if is_in_memory(volume):
                    place = await self._context.runtime.inside(self._uid, place)
                self._fill(pod, volume, place, files.get(volume.name))
            except (VolumeError, OSError) as error:
                why = error if isinstance(error, VolumeError) else f"writing {error.filename}: {error.strerror}"
                text = f'MountVolume.SetUp failed for volume "{volume.name}" : {why}'
                raise SetupError("FailedMount", text) from error

    async def _plan_volumes(self, pod: Pod, ip: str) -> tuple[Pod, dict[str, Files]]:
        """The pod with its claims as places on the disk, and the files of its volumes by name. Raises SetupError."""
        configs = await self._configs(pod)
        facts = self.facts(pod, ip)
        try:
            tokens = await self._tokens.read(pod)
        except VolumeError as error:
            raise SetupError("FailedMount", f"MountVolume.SetUp failed for a token volume : {error}") from error
        try:
            pod = await self._claims.resolve(pod)
        except VolumeError as error:
            raise SetupError("FailedMount", str(error)) from error
        files: dict[str, Files] = {}
        for volume in filter(has_files, pod.spec.volumes or []):
            try:
                files[volume.name] = plan_files(pod, volume, configs=configs, tokens=tokens, facts=facts)
            except (VolumeError, ConfigError) as error:
                text = f'MountVolume.SetUp failed for volume "{volume.name}" : {error}'
                raise SetupError("FailedMount", text) from error
        return pod, files

    async def configure(self, pod: Pod, container: Container, image: Image, *, attempt: int, ip: str) -> Configured:
        """Raises SetupError CreateContainerConfigError."""
        await self._context.services.wait_synced()
        try:
            if container in pod.spec.ephemeral_containers:
                _check_ephemeral(pod, container)
            _check_user(pod, container, image)
            environment = plan_environment(
                pod,
                container,
                image,
                services=self._service_variables(pod),
                configs=await self._configs(pod),
                facts=self.facts(pod, ip),
            )
            self.directory.prepare_attempt(container.name, attempt)
            config = self._render(pod, container, image, environment, attempt)
            config = replace(config, mounts=await self._mounts(pod, container, environment, attempt))
        except (ConfigError, VolumeError) as error:
            raise SetupError("CreateContainerConfigError", str(error)) from error
        except RuntimeFault as fault:
            raise SetupError("CreateContainerError", fault.message) from fault
        except OSError as error:
            raise SetupError("CreateContainerConfigError", f"{error.filename}: {error.strerror}") from error
        return Configured(config, environment.skipped)

    async def resolve(self, pod: Pod, container: Container, *, pulling: Callable[[], None]) -> Image:
        try:
            logins = select_logins(pod, await self._configs(pod)) if pod.spec.image_pull_secrets else ()
            policy = cast("PullPolicy", container.pull_policy)
            return await self._context.images.resolve(container.image, policy=policy, logins=logins, pulling=pulling)
        except RuntimeFault as fault:
            raise SetupError(fault.reason, fault.message) from fault

    def facts(self, pod: Pod, ip: str) -> PodFacts:
        config = self._context.config
        return PodFacts(
            ip=ip,
            host_ip=config.node_ip,
            node=config.node,
            hostname=select_uts_name(pod, node=config.node, cluster_domain=config.cluster_domain),
            allocatable=self._context.allocatable,
        )

    def close(self) -> None:
        self._context.sources.release(self._uid)

    async def _configs(self, pod: Pod) -> Configs:
        refs = select_references(pod)
        return await self._context.sources.read(self._uid, pod.metadata.namespace, refs, self._wake)

    def _service_variables(self, pod: Pod) -> dict[str, str]:
        snapshot = Snapshot(services=self._context.services.items)
        links = pod.spec.enable_service_links
        return compile_env(snapshot, pod.metadata.namespace, enable_service_links=links).as_dict()

    def _write_names(self, pod: Pod, ip: str, uts_name: str) -> tuple[Warned, ...]:
        config = self._context.config
        domain = select_domain(pod, cluster_domain=config.cluster_domain)
        short = select_hostname(pod, node=config.node)
        node_hosts = config.hosts.read_text() if pod.spec.host_network and config.hosts.exists() else ""
        hosts = render_hosts(pod, ip=ip, hostname=short, domain=domain, node_hosts=node_hosts)
        own = config.resolv_conf
        node_dns = NodeDns(config.cluster_domain, config.cluster_dns, own.read_text() if own else None)
        spec = pod.spec
        pod_dns = PodDns(pod.metadata.namespace, spec.dns_policy, spec.dns_config, spec.host_network)
        resolver = compile_resolvconf(pod_dns, node_dns)
        self.directory.write_text("etc-hosts", hosts)
        self.directory.write_text("resolv.conf", render_resolv_conf(resolver))
        self.directory.write_text("hostname", uts_name + "\n")
        return resolver.warnings

    def _fill(self, pod: Pod, volume: Volume, place: Path, files: Files | None) -> None:
        """Raises VolumeError, OSError."""
        group = pod.spec.security_context.fs_group
        if volume.host_path:
            if volume.persistent_volume_claim:
                prepare_place(volume.host_path, group)
            check_host_path(volume.host_path)
        elif files is not None:
            stamp = datetime.fromtimestamp(self._context.clock.time(), UTC).strftime("%Y_%m_%d_%H_%M_%S")
            write_files(place, files, stamp=stamp, group=group)
        elif volume.empty_dir is not None and not place.exists():
            place.mkdir(parents=True)
            place.chmod(0o777)
            set_volume_group(place, group)

    async def _mounts(
        self, pod: Pod, container: Container, environment: Environment, attempt: int
    ) -> tuple[Mount, ...]:
        names = [v.name for v in pod.spec.volumes or [] if is_in_memory(v)]
        runtime = self._context.runtime
        inside = {name: await runtime.inside(self._uid, self.directory.volume(name)) for name in names}
        return plan_mounts(
            await self._claims.resolve(pod),
            container,
            self.directory,
            attempt=attempt,
            variables=dict(environment.variables),
            inside=inside,
        )

    def _seccomp(self, profile: SeccompProfile | None) -> str:
        """As ContainerConfig has it. Raises ConfigError for a profile outside the node's directory of them."""
        if profile is None or profile.type != "Localhost":
            return RUNTIME_DEFAULT if profile is not None and profile.type == RUNTIME_DEFAULT else ""
        config = self._context.config
        root = config.seccomp_profiles or config.state_dir / "seccomp"
        if not (root / profile.localhost_profile).resolve().is_relative_to(root.resolve()):
            raise ConfigError(f"seccompProfile.localhostProfile: {profile.localhost_profile!r} leads out of {root}")
        return str(root / profile.localhost_profile)

    def _render(
        self, pod: Pod, container: Container, image: Image, environment: Environment, attempt: int
    ) -> ContainerConfig:
        security, of_pod = container.security_context, pod.spec.security_context
        limits = container.resources.limits or {}
        capabilities = security.capabilities
        groups = [*(of_pod.supplemental_groups or []), *([of_pod.fs_group] if of_pod.fs_group is not None else [])]
        config = ContainerConfig(
            uid=pod.uid,
            name=container.name,
            attempt=attempt,
            image=image,
            argv=environment.argv,
            env=environment.variables,
            log_path=str(self.directory.log(container.name, attempt)),
            working_dir=environment.working_dir,
            user=of_pod.run_as_user if security.run_as_user is None else security.run_as_user,
            group=of_pod.run_as_group if security.run_as_group is None else security.run_as_group,
            groups=tuple(groups),
            privileged=security.privileged,
            read_only_root=security.read_only_root_filesystem,
            no_new_privileges=security.allow_privilege_escalation is False,
            only_given_groups=of_pod.supplemental_groups_policy == "Strict",
            unmasked_proc=security.proc_mount == "Unmasked",
            seccomp=self._seccomp(security.seccomp_profile or of_pod.seccomp_profile),
            target=container.target_container_name,
            tty=container.tty,
            stdin=container.stdin,
            stdin_once=container.stdin_once,
            memory_bytes=int(parse_quantity(limits["memory"])) if "memory" in limits else 0,
            cpu_millis=parse_quantity(limits["cpu"]).millis if "cpu" in limits else 0,
        )
        if capabilities is None:
            return config
        return replace(
            config,
            capabilities_add=tuple(capabilities.add or ()),
            capabilities_drop=tuple(capabilities.drop or ()),
        )


def _check_ephemeral(pod: Pod, container: Container) -> None:
    refused = select_refused_ephemeral(pod, container)
    if refused:
        raise ConfigError("; ".join(refused))


def _check_user(pod: Pod, container: Container, image: Image) -> None:
    """runAsNonRoot, in kubelet's words."""
    own, of_pod = container.security_context, pod.spec.security_context
    required = of_pod.run_as_non_root if own.run_as_non_root is None else own.run_as_non_root
    if not required:
        return
    where = f'pod: "{pod.metadata.name}_{pod.metadata.namespace}({pod.uid})", container: {container.name}'
    user = of_pod.run_as_user if own.run_as_user is None else own.run_as_user
    if user == 0:
        raise ConfigError(f"container's runAsUser breaks non-root policy ({where})")
    if user is not None:
        return
    name = image.user.partition(":")[0]
    if name in ("", "0", "root"):
        raise ConfigError(f"container has runAsNonRoot and image will run as root ({where})")
    if not name.isdecimal():
        text = f"container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root"
        raise ConfigError(f"{text} ({where})")
