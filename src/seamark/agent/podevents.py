"""Events about one pod, with kubelet's reasons."""

from __future__ import annotations

from seamark.agent.podspec import Container, Pod
from seamark.client.events import EventRecorder
from seamark.machinery.gvr import PODS

COMPONENT = "kubelet"


class PodEvents:
    def __init__(self, recorder: EventRecorder, pod: Pod) -> None:
        self._recorder = recorder
        self._pod = pod

    def normal(self, reason: str, message: str, container: Container | None = None) -> None:
        self._recorder.record(COMPONENT, PODS, self._pod, reason, message)

    def warning(self, reason: str, message: str, container: Container | None = None) -> None:
        self._recorder.record(COMPONENT, PODS, self._pod, reason, message, warning=True)
