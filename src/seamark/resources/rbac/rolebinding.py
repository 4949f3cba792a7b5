"""rbac.authorization.k8s.io/v1 RoleBinding: gives a Role or ClusterRole to subjects, inside one namespace."""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.resources.rbac.rules import validate_rbac_name
from seamark.resources.rbac.subjects import COLUMNS, set_defaults, validate_binding, validate_binding_update
from seamark.resources.registry import Causes, Obj, Resource


def validate(obj: Obj) -> Causes:
    return validate_binding(obj, roles=("Role", "ClusterRole"), namespaced=True)


ROLEBINDING = Resource(
    gvr=gvr.ROLEBINDINGS,
    singular="rolebinding",
    columns=COLUMNS,
    default=set_defaults,
    validate=validate,
    validate_update=validate_binding_update,
    validate_name=validate_rbac_name,
)
