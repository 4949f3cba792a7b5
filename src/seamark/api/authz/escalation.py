"""Nobody grants what they lack: the check on every write of a role or a binding.

Free of it are system:masters, for roles whoever has the verb ``escalate`` on them, for bindings whoever has ``bind``
on the role. Facts: k8s.io/kubernetes pkg/registry/rbac.
"""

from __future__ import annotations

from seamark.api.authz.authorizer import Authorizer
from seamark.api.core import Call
from seamark.api.objects import Obj, same
from seamark.machinery.authorize import FULL_AUTHORITY, Attributes, Rule, escalation, parse_rules, uncovered
from seamark.machinery.status import StatusError, forbidden
from seamark.machinery.wire import ADMIN_GROUP
from seamark.resources.access import entries, section, text
from seamark.resources.rbac.rules import GROUP

_OF_THE_COLLECTOR = ("ownerReferences", "finalizers", "managedFields", "resourceVersion")


async def check_escalation(authorizer: Authorizer, call: Call, new: Obj, old: Obj | None) -> None:
    """Raises 403 with the rights that are missing, 404 for a binding to a role that does not exist."""
    target = call.target
    if target.row.gvr.group != GROUP or ADMIN_GROUP in call.identity.groups:
        return
    if old is not None and _is_only_collecting(new, old):
        return
    if "roleRef" in new:
        await _check_binding(authorizer, call, new)
    else:
        await _check_role(authorizer, call, new, old or {})


def _is_only_collecting(new: Obj, old: Obj) -> bool:
    """The garbage collector changes owners and finalizers, and gains nothing by it."""

    def rest(obj: Obj) -> Obj:
        meta = {k: v for k, v in obj["metadata"].items() if k not in _OF_THE_COLLECTOR}
        return {**obj, "metadata": meta}

    return same(rest(new), rest(old))


async def _check_role(authorizer: Authorizer, call: Call, new: Obj, old: Obj) -> None:
    target = call.target
    escalate = Attributes("escalate", GROUP, target.gvr.resource, "", target.namespace, target.name)
    if (await authorizer.decide(call.identity, escalate)).allowed:
        return
    await _check_rules(authorizer, call, new, parse_rules(entries(new, "rules")))
    if entries(new, "aggregationRule", "clusterRoleSelectors") or entries(
        old, "aggregationRule", "clusterRoleSelectors"
    ):
        index = await authorizer.rules()
        owned = index.rules_for(call.identity.user, call.identity.groups, "")
        if uncovered(owned, FULL_AUTHORITY):
            raise _refusal(call, new, "must have cluster-admin privileges to use the aggregationRule")


async def _check_binding(authorizer: Authorizer, call: Call, new: Obj) -> None:
    role, target = section(new, "roleRef"), call.target
    kind, name = text(role, "kind"), text(role, "name")
    resource = {"ClusterRole": "clusterroles", "Role": "roles"}.get(kind)
    if resource is None:
        return  # validation says what is wrong with it
    bind = Attributes("bind", text(role, "apiGroup"), resource, "", target.namespace, name)
    if (await authorizer.decide(call.identity, bind)).allowed:
        return
    index = await authorizer.rules()
    await _check_rules(authorizer, call, new, index.role_rules(kind, name, target.namespace))


async def _check_rules(authorizer: Authorizer, call: Call, new: Obj, wanted: tuple[Rule, ...]) -> None:
    who = call.identity
    index = await authorizer.rules()
    missing = uncovered(index.rules_for(who.user, who.groups, call.target.namespace), wanted)
    if missing:
        raise _refusal(call, new, escalation(who.user, who.groups, missing))


def _refusal(call: Call, obj: Obj, why: str) -> StatusError:
    gvr = call.target.gvr
    return forbidden(gvr.resource, str(obj["metadata"].get("name") or ""), why, group=gvr.group)
