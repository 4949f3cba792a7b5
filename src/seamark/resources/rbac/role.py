"""rbac.authorization.k8s.io/v1 Role: what may be done with the resources of one namespace."""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.resources.rbac.rules import COLUMNS, validate_rbac_name, validate_rules
from seamark.resources.registry import Causes, Obj, Resource


def validate(obj: Obj) -> Causes:
    return validate_rules(obj, namespaced=True)


ROLE = Resource(
    gvr=gvr.ROLES,
    singular="role",
    columns=COLUMNS,
    validate=validate,
    validate_name=validate_rbac_name,
)
