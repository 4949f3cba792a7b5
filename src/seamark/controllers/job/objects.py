"""batch/v1 as its controllers read it."""

from __future__ import annotations

from typing import Any

import msgspec

from seamark.controllers.workloads import Selector, Template
from seamark.model.meta import Object, Projection


class JobCondition(Projection, frozen=True):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_probe_time: str | None = None
    last_transition_time: str | None = None


class ExitCodes(Projection, frozen=True):
    container_name: str | None = None
    operator: str = ""
    values: list[int] | None = None


class ConditionPattern(Projection, frozen=True):
    type: str = ""
    status: str = "True"


class FailureRule(Projection, frozen=True):
    action: str = ""
    on_exit_codes: ExitCodes | None = None
    on_pod_conditions: list[ConditionPattern] | None = None


class FailurePolicy(Projection, frozen=True):
    rules: list[FailureRule] | None = None


class SuccessRule(Projection, frozen=True):
    succeeded_indexes: str | None = None
    succeeded_count: int | None = None


class SuccessPolicy(Projection, frozen=True):
    rules: list[SuccessRule] | None = None


class JobSpec(Projection, frozen=True):
    parallelism: int = 1
    completions: int | None = None
    backoff_limit: int = 6
    active_deadline_seconds: int | None = None
    completion_mode: str = "NonIndexed"
    suspend: bool = False
    ttl_seconds_after_finished: int | None = None
    pod_replacement_policy: str = "TerminatingOrFailed"
    managed_by: str | None = None
    backoff_limit_per_index: int | None = None
    max_failed_indexes: int | None = None
    pod_failure_policy: FailurePolicy | None = None
    success_policy: SuccessPolicy | None = None
    selector: Selector = msgspec.field(default_factory=dict)
    template: Template = msgspec.field(default_factory=dict)

    @property
    def is_indexed(self) -> bool:
        return self.completion_mode == "Indexed"


class Uncounted(Projection, frozen=True):
    """Uids of ended pods that still wait for their finalizer to go and then to be counted."""

    succeeded: list[str] | None = None
    failed: list[str] | None = None


class JobStatus(Projection, frozen=True):
    conditions: list[JobCondition] | None = None
    start_time: str | None = None
    completion_time: str | None = None
    active: int = 0
    succeeded: int = 0
    failed: int = 0
    terminating: int | None = None
    ready: int | None = None
    completed_indexes: str = ""
    failed_indexes: str | None = None
    uncounted_terminated_pods: Uncounted | None = None

    def has(self, *types: str) -> bool:
        return any(c.type in types and c.status == "True" for c in self.conditions or ())

    @property
    def is_finished(self) -> bool:
        return self.has("Complete", "Failed")


class Job(Object, frozen=True):
    spec: JobSpec = JobSpec()
    status: JobStatus = JobStatus()


class JobReference(Projection, frozen=True):
    api_version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    resource_version: str = ""


class JobTemplate(Projection, frozen=True):
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    spec: dict[str, Any] = msgspec.field(default_factory=dict)


class CronJobSpec(Projection, frozen=True):
    schedule: str = ""
    time_zone: str | None = None
    starting_deadline_seconds: int | None = None
    concurrency_policy: str = "Allow"
    suspend: bool = False
    job_template: JobTemplate = JobTemplate()
    successful_jobs_history_limit: int = 3
    failed_jobs_history_limit: int = 1


class CronJobStatus(Projection, frozen=True):
    active: list[JobReference] | None = None
    last_schedule_time: str | None = None
    last_successful_time: str | None = None


class CronJob(Object, frozen=True):
    spec: CronJobSpec = CronJobSpec()
    status: CronJobStatus = CronJobStatus()
