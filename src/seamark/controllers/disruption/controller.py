"""PodDisruptionBudgets: wiring. The eviction subresource reads the status that is written here."""

from __future__ import annotations

from typing import Any

from seamark.client.informer import Informer
from seamark.controllers.caches import Caches
from seamark.controllers.disruption.objects import Budget, BudgetStatus
from seamark.controllers.disruption.plan import plan_budget
from seamark.controllers.owners import controller_of
from seamark.controllers.runtime import Controller
from seamark.controllers.workloads import WorkloadPod, status_patch
from seamark.machinery.gvr import PODDISRUPTIONBUDGETS
from seamark.machinery.selectors import LabelSelector, SelectorError, selector_from
from seamark.model.meta import Object, ObjectKey


class DisruptionController:
    def __init__(self, caches: Caches) -> None:
        self._caches = caches
        self.controller = Controller("disruption", self.reconcile, clock=caches.clock)
        caches.budgets.on_change(self._on_budget)
        caches.pods.on_change(self._on_pod)
        for informer in (caches.deployments, caches.statefulsets, caches.replicasets, caches.replicationcontrollers):
            informer.on_change(self._on_scale)

    def _on_budget(self, old: Budget | None, new: Budget | None, seen: float) -> None:
        if new is not None:
            self.controller.queue.add(new.key)

    def _on_pod(self, old: WorkloadPod | None, new: WorkloadPod | None, seen: float) -> None:
        for pod in (old, new):
            if pod is None:
                continue
            for budget in self._caches.budgets_in.get(pod.metadata.namespace):
                selector = _selector(budget)
                if selector is not None and selector.matches(pod.metadata.labels):
                    self.controller.queue.add(budget.key)

    def _on_scale(self, old: Object | None, new: Object | None, seen: float) -> None:
        """A set may be scaled without any of its pods changing yet."""
        if old is not None and new is not None and old.metadata.generation == new.metadata.generation:
            return
        found = new or old
        assert found is not None
        for budget in self._caches.budgets_in.get(found.metadata.namespace):
            self.controller.queue.add(budget.key)

    async def reconcile(self, key: ObjectKey) -> float | None:
        caches = self._caches
        budget = caches.budgets.get(key)
        selector = _selector(budget) if budget is not None else None
        if budget is None or selector is None:
            return None
        pods = [pod for pod in caches.pods_in.get(key.namespace) if selector.matches(pod.metadata.labels)]
        plan = plan_budget(budget, pods, self._scales(pods), now=caches.clock.time())
        if plan.status != budget.status:
            patch = _patch(budget.status, plan.status)
            patch["metadata"] = {"resourceVersion": budget.metadata.resource_version}  # evictions write it as well
            await caches.patch(PODDISRUPTIONBUDGETS, key, patch, subresource="status")
        return plan.again

    def _scales(self, pods: list[WorkloadPod]) -> dict[str, int]:
        """How many pods the controllers of these are to keep; a ReplicaSet's Deployment knows better than it."""
        caches, found = self._caches, dict[str, int]()
        kinds: dict[str, Informer[Any]] = {
            "ReplicaSet": caches.replicasets,
            "StatefulSet": caches.statefulsets,
            "ReplicationController": caches.replicationcontrollers,
        }
        for pod in pods:
            owner = controller_of(pod)
            if owner is None or owner.uid in found or owner.kind not in kinds:
                continue
            whole = kinds[owner.kind].get(ObjectKey(pod.metadata.namespace, owner.name))
            if whole is None or whole.metadata.uid != owner.uid:
                continue
            found[owner.uid] = self._replicas(whole)
        return found

    def _replicas(self, whole: Any) -> int:
        above = controller_of(whole)
        if above is not None and above.kind == "Deployment":
            deployment = self._caches.deployments.get(ObjectKey(whole.metadata.namespace, above.name))
            if deployment is not None and deployment.metadata.uid == above.uid:
                return deployment.spec.replicas
        return int(whole.spec.replicas)


def _selector(budget: Budget) -> LabelSelector | None:
    """None selects nothing; an empty selector every pod of the namespace."""
    try:
        return selector_from(budget.spec.selector) if budget.spec.selector is not None else None
    except SelectorError:
        return None


def _patch(old: BudgetStatus, new: BudgetStatus) -> dict[str, dict[str, object]]:
    patch = status_patch(old, new)
    gone = (old.disrupted_pods or {}).keys() - (new.disrupted_pods or {}).keys()
    if gone and new.disrupted_pods:
        patch["status"]["disruptedPods"] = {**dict.fromkeys(gone), **new.disrupted_pods}
    return patch
