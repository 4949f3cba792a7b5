"""rbac.authorization.k8s.io/v1 ClusterRole: what may be done in the cluster, or in a namespace by a RoleBinding.

With an aggregationRule its rules are a controller's to fill, out of the ClusterRoles that it selects.
"""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.resources import field
from seamark.resources.access import entries
from seamark.resources.metadata import validate_label_selector
from seamark.resources.rbac.rules import COLUMNS, validate_rbac_name, validate_rules
from seamark.resources.registry import Causes, Obj, Resource

SELECTORS = "aggregationRule.clusterRoleSelectors"


def validate(obj: Obj) -> Causes:
    causes = validate_rules(obj, namespaced=False)
    if obj.get("aggregationRule") is None:
        return causes
    selectors = entries(obj, *SELECTORS.split("."))
    if not selectors:
        detail = "at least one clusterRoleSelector required if aggregationRule is non-nil"
        causes.append(field.required(SELECTORS, detail))
    for i, selector in enumerate(selectors):
        where = field.index(SELECTORS, i)
        wrong = validate_label_selector(where, selector)
        causes += wrong
        if wrong:
            causes.append(field.invalid(where, None, "invalid label selector."))
    return causes


CLUSTERROLE = Resource(
    gvr=gvr.CLUSTERROLES,
    singular="clusterrole",
    columns=COLUMNS,
    validate=validate,
    validate_name=validate_rbac_name,
)
