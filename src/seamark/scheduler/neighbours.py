"""Where a pod may be because of the other pods: affinity, anti-affinity and topology spread; pure.

A *domain* is the set of nodes with the same value of a topology label. Everything here counts matching pods per domain,
once for a pod that asks for it, so a pod without such wishes costs nothing.

What is not done, and says so instead of being ignored: a ``namespaceSelector`` with terms, since the scheduler does not
watch namespaces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from seamark.machinery.nodematch import matches_node, matches_term
from seamark.machinery.selectors import NOTHING, LabelSelector, SelectorError, selector_from
from seamark.scheduler.nodes import NodeState, Term, pod_terms
from seamark.scheduler.podspec import OfferingNode, RequestingPod

Refuses = Callable[[OfferingNode], str]
"""Why a node does not do; empty = it does."""

PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
AFFINITY = "node(s) didn't match pod affinity rules"
ANTI_AFFINITY = "node(s) didn't match pod anti-affinity rules"
EXISTING = "node(s) didn't satisfy existing pods anti-affinity rules"
SPREAD = "node(s) didn't match pod topology spread constraints"
UNSUPPORTED = "pod affinity with a namespaceSelector is not supported"


class _Match(NamedTuple):
    """Which pods a term means. ``namespaces`` None = all."""

    selector: LabelSelector
    namespaces: frozenset[str] | None

    def has(self, pod: RequestingPod) -> bool:
        inside = self.namespaces is None or pod.metadata.namespace in self.namespaces
        return inside and self.selector.matches(pod.metadata.labels)


def compile_refusals(pod: RequestingPod, nodes: Mapping[str, NodeState]) -> list[Refuses]:
    hard = (c for c in _constraints(pod) if c.get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule")
    found: list[Refuses] = [
        *(_affinity(pod, term, nodes) for term in pod_terms(pod, "podAffinity")),
        *(_anti_affinity(pod, term, nodes) for term in pod_terms(pod, "podAntiAffinity")),
        *(_spread(pod, constraint, nodes) for constraint in hard),
    ]
    taken = _taken_by_others(pod, nodes)
    if taken:
        found.append(lambda node: EXISTING if taken & node.labels.items() else "")
    return found


def heeds_neighbours(pod: RequestingPod) -> bool:
    """May a pod that comes somewhere make room for this one?"""
    return bool(pod_terms(pod, "podAffinity") or _constraints(pod))


def compile_cost(pod: RequestingPod, nodes: Mapping[str, NodeState]) -> Callable[[OfferingNode], float]:
    """What the pod would rather not: the lower the better. Preferences are weighed, not obeyed."""
    soft = [c for c in _constraints(pod) if c.get("whenUnsatisfiable") == "ScheduleAnyway"]
    parts = [
        *(_weighed(pod, weighed, nodes, -1) for weighed in _preferred(pod, "podAffinity")),
        *(_weighed(pod, weighed, nodes, 1) for weighed in _preferred(pod, "podAntiAffinity")),
        *(_preferred_node(weighed) for weighed in _preferred(pod, "nodeAffinity")),
        *(_counted(pod, constraint, nodes, 1) for constraint in soft),
    ]
    return lambda node: sum(part(node) for part in parts)


def _constraints(pod: RequestingPod) -> list[dict[str, Any]]:
    return pod.spec.topology_spread_constraints or []


def _preferred(pod: RequestingPod, kind: str) -> list[Term]:
    return list(((pod.spec.affinity or {}).get(kind) or {}).get(PREFERRED) or ())


def _weighed(
    pod: RequestingPod, weighed: Term, nodes: Mapping[str, NodeState], sign: int
) -> Callable[[OfferingNode], float]:
    return _counted(pod, weighed.get("podAffinityTerm") or {}, nodes, sign * int(weighed.get("weight", 1)))


def _counted(
    pod: RequestingPod, term: Term, nodes: Mapping[str, NodeState], weight: int
) -> Callable[[OfferingNode], float]:
    key = str(term.get("topologyKey", ""))
    match = _match(pod, term)
    counts = _count(match, key, nodes) if match is not None else Counter()
    return lambda node: weight * counts[node.labels.get(key, "")]


def _preferred_node(weighed: Term) -> Callable[[OfferingNode], float]:
    preference, weight = weighed.get("preference") or {}, int(weighed.get("weight", 1))
    return lambda node: -weight if matches_term(node, preference) else 0


def _affinity(pod: RequestingPod, term: Term, nodes: Mapping[str, NodeState]) -> Refuses:
    key, match = str(term.get("topologyKey", "")), _match(pod, term)
    if match is None:
        return lambda node: UNSUPPORTED
    counts = _count(match, key, nodes)
    first = not counts and match.has(pod)  # the first of a group that wants to be together may start anywhere

    def refuses(node: OfferingNode) -> str:
        domain = node.labels.get(key)
        return "" if domain is not None and (first or counts[domain]) else AFFINITY

    return refuses


def _anti_affinity(pod: RequestingPod, term: Term, nodes: Mapping[str, NodeState]) -> Refuses:
    key, match = str(term.get("topologyKey", "")), _match(pod, term)
    if match is None:
        return lambda node: UNSUPPORTED
    counts = _count(match, key, nodes)
    return lambda node: ANTI_AFFINITY if key in node.labels and counts[node.labels[key]] else ""


def _taken_by_others(pod: RequestingPod, nodes: Mapping[str, NodeState]) -> set[tuple[str, str]]:
    """Domains (label, value) with a pod that wants no such pod near it."""
    taken = set()
    for state in nodes.values():
        if state.node is None:
            continue
        for other in state.apart.values():
            for term in pod_terms(other, "podAntiAffinity"):
                key, match = str(term.get("topologyKey", "")), _match(other, term)
                if match is not None and match.has(pod) and key in state.node.labels:
                    taken.add((key, state.node.labels[key]))
    return taken


def _spread(pod: RequestingPod, constraint: Term, nodes: Mapping[str, NodeState]) -> Refuses:
    key, skew = str(constraint.get("topologyKey", "")), int(constraint.get("maxSkew", 1))
    match = _match(pod, constraint)
    if match is None:
        return lambda node: UNSUPPORTED
    eligible = {
        n: s for n, s in nodes.items() if s.node and matches_node(s.node, pod.spec.node_selector, pod.spec.affinity)
    }
    counts = _count(match, key, eligible)
    domains = {s.node.labels[key] for s in eligible.values() if s.node and key in s.node.labels}
    least = min((counts[domain] for domain in domains), default=0)
    if len(domains) < int(constraint.get("minDomains") or 1):
        least = 0
    itself = int(match.has(pod))

    def refuses(node: OfferingNode) -> str:
        if key not in node.labels:
            return f"{SPREAD} (missing required label)"
        return SPREAD if counts[node.labels[key]] + itself - least > skew else ""

    return refuses


def _count(match: _Match, key: str, nodes: Mapping[str, NodeState]) -> Counter[str]:
    found: Counter[str] = Counter()
    for state in nodes.values():
        if state.node is not None and key in state.node.labels:
            count = sum(match.has(pod) and not pod.is_terminating for pod in state.pods.values())
            if count:
                found[state.node.labels[key]] += count
    return found


def _match(pod: RequestingPod, term: Term) -> _Match | None:
    """None for what is not supported."""
    everywhere = term.get("namespaceSelector")
    if everywhere:
        return None
    named = frozenset(term.get("namespaces") or ())
    namespaces = None if everywhere is not None else named or frozenset({pod.metadata.namespace})
    selector = term.get("labelSelector")
    if selector is not None:
        selector = {**selector, "matchExpressions": [*(selector.get("matchExpressions") or ()), *_by_keys(pod, term)]}
    try:
        return _Match(selector_from(selector), namespaces)
    except SelectorError:
        return _Match(NOTHING, namespaces)


def _by_keys(pod: RequestingPod, term: Term) -> Iterator[dict[str, Any]]:
    """``matchLabelKeys``: only pods with the same value as this one, such as the same pod-template-hash."""
    for field, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")):
        for key in term.get(field) or ():
            if key in pod.labels:
                yield {"key": key, "operator": operator, "values": [pod.labels[key]]}
