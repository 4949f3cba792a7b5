"""May a pod be on a node: nodeSelector, required node affinity, taints and tolerations.

The scheduler asks this for every pod, the DaemonSet controller for every node; both must say the same. A malformed
term matches nothing, as in k8s.io/component-helpers/scheduling/corev1/nodeaffinity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from seamark.machinery.selectors import Requirement
from seamark.model.node import Node, Taint

_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!", "Gt": "gt", "Lt": "lt"}


def matches_node(node: Node, selector: Mapping[str, str] | None, affinity: Mapping[str, Any] | None) -> bool:
    """``selector`` is pod.spec.nodeSelector, ``affinity`` pod.spec.affinity; what they only prefer does not count."""
    if not (selector or {}).items() <= node.labels.items():
        return False
    terms = required_terms(affinity)
    return terms is None or any(matches_term(node, term) for term in terms)


def required_terms(affinity: Mapping[str, Any] | None) -> Sequence[Mapping[str, Any]] | None:
    """The alternatives of the required node affinity; None where the pod requires nothing."""
    node_affinity = (affinity or {}).get("nodeAffinity") or {}
    required = node_affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return None if required is None else required.get("nodeSelectorTerms") or ()


def matches_term(node: Node, term: Mapping[str, Any]) -> bool:
    """A NodeSelectorTerm: all of it must hold, and an empty one matches nothing."""
    labels, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not labels and not fields:
        return False
    named = {"metadata.name": node.metadata.name}
    return all(_holds(e, node.labels) for e in labels) and all(_holds(e, named) for e in fields)


def _holds(expression: Mapping[str, Any], values: Mapping[str, str]) -> bool:
    operator = _OPERATORS.get(str(expression.get("operator")))
    given = tuple(expression.get("values") or ())
    if operator is None or (operator in ("gt", "lt") and (len(given) != 1 or not given[0].lstrip("+-").isdecimal())):
        return False
    return Requirement(str(expression.get("key")), operator, given).matches(values)


def untolerated(
    taints: Iterable[Taint], tolerations: Iterable[Mapping[str, Any]], *, effects: Sequence[str]
) -> Taint | None:
    """The first taint with one of ``effects`` that nothing tolerates."""
    tolerations = list(tolerations)
    for taint in taints:
        if taint.effect in effects and not any(tolerates(toleration, taint) for toleration in tolerations):
            return taint
    return None


def tolerates(toleration: Mapping[str, Any], taint: Taint) -> bool:
    """core/v1 Toleration: an empty key with Exists tolerates all, an empty effect every effect."""
    key, effect = toleration.get("key") or "", toleration.get("effect") or ""
    if effect and effect != taint.effect:
        return False
    if key and key != taint.key:
        return False
    operator = toleration.get("operator") or "Equal"
    if operator == "Exists":
        return True
    return operator == "Equal" and bool(key) and (toleration.get("value") or "") == taint.value
