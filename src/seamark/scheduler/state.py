"""What the scheduler knows of the nodes: sums per node that follow the informers, and pods it has just placed.

A pod counts on its node from the moment the decision is made, before the API server has confirmed the binding: two
pods decided one after the other must not both take the last place.
"""

from __future__ import annotations

from seamark.scheduler.nodes import NodeState
from seamark.scheduler.podspec import OfferingNode, RequestingPod


class SchedulerState:
    def __init__(self) -> None:
        self.nodes: dict[str, NodeState] = {}
        self._placed: dict[str, str] = {}  # pod uid -> node name

    def note_node(self, old: OfferingNode | None, new: OfferingNode | None) -> None:
        if new is not None:
            self.nodes.setdefault(new.metadata.name, NodeState()).node = new
        elif old is not None:
            state = self.nodes[old.metadata.name]
            state.node = None
            self._tidy(old.metadata.name)

    def note_pod(self, old: RequestingPod | None, new: RequestingPod | None) -> None:
        pod = new or old
        if pod is None:
            return
        if new is None or new.is_finished:
            self.release(pod)
        elif new.spec.node_name:
            self.assume(new, new.spec.node_name)

    def assume(self, pod: RequestingPod, node: str) -> None:
        """Counts the pod on the node, and nowhere else."""
        self.release(pod)
        self._placed[pod.metadata.uid] = node
        self.nodes.setdefault(node, NodeState()).add(pod)

    def release(self, pod: RequestingPod) -> None:
        node = self._placed.pop(pod.metadata.uid, None)
        if node is not None:
            self.nodes[node].remove(pod.metadata.uid)
            self._tidy(node)

    def _tidy(self, name: str) -> None:
        state = self.nodes[name]
        if state.node is None and not state.pods:
            del self.nodes[name]
