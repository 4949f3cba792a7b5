"""Projections that only controllers read: the apps kinds with whole pod templates, leases, events' owners.

Statuses are typed and complete, because a controller writes the whole of its status: ``status_patch`` turns the old
and the new one into a merge patch that drops what became zero, as Go's ``omitempty`` does.
"""

from __future__ import annotations

from typing import Any

import msgspec

from seamark.model.meta import Object, Projection
from seamark.model.pod import Pod, PodSpec, PodStatus
from seamark.model.volume import PodVolume

Template = dict[str, Any]
Selector = dict[str, Any]


class Condition(Projection, frozen=True):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_update_time: str | None = None
    last_transition_time: str | None = None


class ContainerEnd(Projection, frozen=True):
    exit_code: int = 0
    finished_at: str | None = None


class ContainerState(Projection, frozen=True):
    terminated: ContainerEnd | None = None


class ContainerStatus(Projection, frozen=True):
    name: str = ""
    restart_count: int = 0
    state: ContainerState = ContainerState()

    @property
    def finished_at(self) -> str | None:
        return self.state.terminated.finished_at if self.state.terminated else None


class WorkloadPodStatus(PodStatus, frozen=True):
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None


class WorkloadPodSpec(PodSpec, frozen=True):
    affinity: dict[str, Any] | None = None
    tolerations: list[dict[str, Any]] | None = None
    volumes: list[PodVolume] | None = None


class WorkloadPod(Pod, frozen=True):
    """A pod with what the workload controllers need beyond the shared projection."""

    spec: WorkloadPodSpec = WorkloadPodSpec()
    status: WorkloadPodStatus = WorkloadPodStatus()


class TypedSecret(Object, frozen=True):
    """A Secret by its type; what it holds is not kept."""

    type: str = ""


class RollingUpdate(Projection, frozen=True):
    """Deployment has surge and unavailable, StatefulSet partition, DaemonSet unavailable and surge."""

    max_surge: int | str | None = None
    max_unavailable: int | str | None = None
    partition: int | None = None


class Strategy(Projection, frozen=True):
    type: str = ""
    rolling_update: RollingUpdate | None = None


class DeploymentSpec(Projection, frozen=True):
    replicas: int = 1
    selector: Selector = msgspec.field(default_factory=dict)
    template: Template = msgspec.field(default_factory=dict)
    strategy: Strategy = Strategy()
    min_ready_seconds: int = 0
    revision_history_limit: int | None = None
    paused: bool = False
    progress_deadline_seconds: int | None = None


class DeploymentStatus(Projection, frozen=True):
    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    unavailable_replicas: int = 0
    collision_count: int | None = None
    conditions: list[Condition] | None = None


class Deployment(Object, frozen=True):
    spec: DeploymentSpec = DeploymentSpec()
    status: DeploymentStatus = DeploymentStatus()


class ReplicaSpec(Projection, frozen=True):
    """What ReplicaSets and ReplicationControllers have in common: they differ in their selectors."""

    replicas: int = 1
    min_ready_seconds: int = 0
    template: Template = msgspec.field(default_factory=dict)


class ReplicaSetSpec(ReplicaSpec, frozen=True):
    selector: Selector = msgspec.field(default_factory=dict)


class ReplicaSetStatus(Projection, frozen=True):
    replicas: int = 0
    fully_labeled_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    observed_generation: int = 0
    conditions: list[Condition] | None = None


class ReplicaSet(Object, frozen=True):
    spec: ReplicaSetSpec = ReplicaSetSpec()
    status: ReplicaSetStatus = ReplicaSetStatus()


class ReplicationControllerSpec(ReplicaSpec, frozen=True):
    """Selects by labels alone, which ``selector`` gives in the form that the others have."""

    selected: dict[str, str] = msgspec.field(default_factory=dict, name="selector")

    @property
    def selector(self) -> Selector:
        return {"matchLabels": self.selected}


class ReplicationController(Object, frozen=True):
    spec: ReplicationControllerSpec = ReplicationControllerSpec()
    status: ReplicaSetStatus = ReplicaSetStatus()


class Ordinals(Projection, frozen=True):
    start: int = 0


class ClaimRetention(Projection, frozen=True):
    when_deleted: str = "Retain"
    when_scaled: str = "Retain"


class StatefulSetSpec(Projection, frozen=True):
    replicas: int = 1
    selector: Selector = msgspec.field(default_factory=dict)
    template: Template = msgspec.field(default_factory=dict)
    service_name: str = ""
    volume_claim_templates: list[dict[str, Any]] | None = None
    persistent_volume_claim_retention_policy: ClaimRetention = ClaimRetention()
    pod_management_policy: str = "OrderedReady"
    update_strategy: Strategy = Strategy()
    revision_history_limit: int | None = None
    min_ready_seconds: int = 0
    ordinals: Ordinals | None = None


class StatefulSetStatus(Projection, frozen=True):
    observed_generation: int = 0
    replicas: int = 0
    ready_replicas: int = 0
    current_replicas: int = 0
    updated_replicas: int = 0
    available_replicas: int = 0
    current_revision: str = ""
    update_revision: str = ""
    collision_count: int | None = None
    conditions: list[Condition] | None = None


class StatefulSet(Object, frozen=True):
    spec: StatefulSetSpec = StatefulSetSpec()
    status: StatefulSetStatus = StatefulSetStatus()


class DaemonSetSpec(Projection, frozen=True):
    selector: Selector = msgspec.field(default_factory=dict)
    template: Template = msgspec.field(default_factory=dict)
    update_strategy: Strategy = Strategy()
    min_ready_seconds: int = 0
    revision_history_limit: int | None = None


class DaemonSetStatus(Projection, frozen=True):
    current_number_scheduled: int = 0
    number_misscheduled: int = 0
    desired_number_scheduled: int = 0
    number_ready: int = 0
    observed_generation: int = 0
    updated_number_scheduled: int = 0
    number_available: int = 0
    number_unavailable: int = 0
    collision_count: int | None = None
    conditions: list[Condition] | None = None


class DaemonSet(Object, frozen=True):
    spec: DaemonSetSpec = DaemonSetSpec()
    status: DaemonSetStatus = DaemonSetStatus()


class ControllerRevision(Object, frozen=True):
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    revision: int = 0


class LeaseSpec(Projection, frozen=True):
    renew_time: str | None = None
    lease_duration_seconds: int | None = None


class Lease(Object, frozen=True):
    spec: LeaseSpec = LeaseSpec()


def status_patch(old: Projection, new: Projection) -> dict[str, Any]:
    """The merge patch for ``/status``; what ``new`` leaves at its default is dropped, however deep it lies."""
    return {"status": _merge_patch(msgspec.to_builtins(old), msgspec.to_builtins(new))}


def _merge_patch(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    patch: dict[str, Any] = {**dict.fromkeys(before), **after}
    for key, value in after.items():
        if isinstance(value, dict) and isinstance(there := before.get(key), dict):
            patch[key] = _merge_patch(there, value)
    return patch
