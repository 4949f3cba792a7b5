"""autoscaling/v2 HorizontalPodAutoscaler as its controller reads it."""

from __future__ import annotations

from typing import Any

import msgspec

from seamark.model.meta import Object, Projection


class ScaleTarget(Projection, frozen=True):
    api_version: str = ""
    kind: str = ""
    name: str = ""

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]


class AutoscalerSpec(Projection, frozen=True):
    scale_target_ref: ScaleTarget = ScaleTarget()
    min_replicas: int | None = None
    max_replicas: int = 0
    metrics: list[dict[str, Any]] | None = None


class AutoscalerCondition(Projection, frozen=True):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: str | None = None


class AutoscalerStatus(Projection, frozen=True):
    current_replicas: int = 0
    desired_replicas: int = 0
    last_scale_time: str | None = None
    conditions: list[AutoscalerCondition] | None = None


class Autoscaler(Object, frozen=True):
    spec: AutoscalerSpec = msgspec.field(default_factory=AutoscalerSpec)
    status: AutoscalerStatus = msgspec.field(default_factory=AutoscalerStatus)
