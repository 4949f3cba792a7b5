"""Labels, annotations and label selectors inside a spec: pod templates, selectors.

An object's own ``metadata`` is validated by the API (``api/metadata.py``), by the row's ``validate_name``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seamark.machinery import names
from seamark.resources import field
from seamark.resources.access import entries, section, text
from seamark.resources.registry import Causes, Obj

ANNOTATIONS_MAX_BYTES = 256 * 1024


def validate_labels(path: str, labels: Mapping[str, Any]) -> Causes:
    causes: Causes = []
    for name, value in labels.items():
        causes += field.invalids(path, name, names.validate_qualified_name(name))
        causes += field.invalids(path, value, names.validate_label_value(str(value)))
    return causes


def validate_annotations(path: str, annotations: Mapping[str, Any]) -> Causes:
    causes: Causes = []
    for name in annotations:
        causes += field.invalids(path, name, names.validate_qualified_name(name.lower()))
    size = sum(len(k.encode()) + len(str(v).encode()) for k, v in annotations.items())
    if size > ANNOTATIONS_MAX_BYTES:
        causes.append(field.too_long(path, ANNOTATIONS_MAX_BYTES))
    return causes


def validate_label_selector(path: str, selector: Obj) -> Causes:
    causes = validate_labels(f"{path}.matchLabels", section(selector, "matchLabels"))
    for i, requirement in enumerate(entries(selector, "matchExpressions")):
        causes += _validate_requirement(field.index(f"{path}.matchExpressions", i), requirement)
    return causes


def _validate_requirement(path: str, requirement: Obj) -> Causes:
    causes: Causes = []
    operator, values = text(requirement, "operator"), entries(requirement, "values")
    if operator in ("In", "NotIn"):
        if not values:
            causes.append(field.required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            causes.append(field.forbidden(f"{path}.values", detail))
    else:
        causes.append(field.invalid(f"{path}.operator", operator, "not a valid selector operator"))
    name = text(requirement, "key")
    causes += field.invalids(f"{path}.key", name, names.validate_qualified_name(name))
    for i, value in enumerate(values):
        causes += field.invalids(field.index(f"{path}.values", i), value, names.validate_label_value(value))
    return causes
