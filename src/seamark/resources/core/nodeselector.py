"""Validation of a core/v1 NodeSelector: which nodes a volume can be reached from."""

from __future__ import annotations

from seamark.machinery import names
from seamark.resources import field
from seamark.resources.access import entries, section, text
from seamark.resources.registry import Causes, Obj

_FIELDS = ("metadata.name",)
_LABELS = {
    "beta.kubernetes.io/arch": "kubernetes.io/arch",
    "beta.kubernetes.io/instance-type": "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/os": "kubernetes.io/os",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
}


def renew_labels(affinity: Obj) -> Obj:
    """A volume's nodeAffinity with the labels of nodes that took the place of those of the beta."""
    required = section(affinity, "required")
    terms = [
        {**term, "matchExpressions": [{**one, "key": _renew(one)} for one in entries(term, "matchExpressions")]}
        for term in entries(required, "nodeSelectorTerms")
    ]
    return {**affinity, "required": {**required, "nodeSelectorTerms": terms}}


def _renew(expression: Obj) -> str:
    key = text(expression, "key")
    return _LABELS.get(key, key)


def validate_node_selector(path: str, selector: Obj) -> Causes:
    terms, at = entries(selector, "nodeSelectorTerms"), f"{path}.nodeSelectorTerms"
    if not terms:
        return [field.required(at, "must have at least one node selector term")]
    causes: Causes = []
    for i, term in enumerate(terms):
        for j, one in enumerate(entries(term, "matchExpressions")):
            causes += _validate_expression(f"{at}[{i}].matchExpressions[{j}]", one)
        for j, one in enumerate(entries(term, "matchFields")):
            causes += _validate_field(f"{at}[{i}].matchFields[{j}]", one)
    return causes


def _validate_expression(path: str, one: Obj) -> Causes:
    operator, values, causes = text(one, "operator"), entries(one, "values"), Causes()
    match operator:
        case "In" | "NotIn":
            if not values:
                causes.append(field.required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
        case "Exists" | "DoesNotExist":
            if values:
                detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                causes.append(field.forbidden(f"{path}.values", detail))
        case "Gt" | "Lt":
            if len(values) != 1:
                detail = "must be specified single value when `operator` is 'Lt' or 'Gt'"
                causes.append(field.required(f"{path}.values", detail))
        case _:
            causes.append(field.invalid(f"{path}.operator", operator, "not a valid selector operator"))
    causes += field.invalids(f"{path}.key", text(one, "key"), names.validate_qualified_name(text(one, "key")))
    for i, value in enumerate(values):
        causes += field.invalids(f"{path}.values[{i}]", value, names.validate_label_value(value))
    return causes


def _validate_field(path: str, one: Obj) -> Causes:
    operator, values, key, causes = text(one, "operator"), entries(one, "values"), text(one, "key"), Causes()
    if operator not in ("In", "NotIn"):
        causes.append(field.invalid(f"{path}.operator", operator, "not a valid selector operator"))
    elif len(values) != 1:
        detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        causes.append(field.required(f"{path}.values", detail))
    if key not in _FIELDS:
        return [*causes, field.invalid(f"{path}.key", key, "not a valid field selector key")]
    for i, value in enumerate(values):
        causes += field.invalids(f"{path}.values[{i}]", value, names.validate_dns1123_subdomain(value))
    return causes
