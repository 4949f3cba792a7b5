"""coordination.k8s.io/v1 Lease: who holds a role, and since when. A PUT must name the resourceVersion it replaces."""

from __future__ import annotations

from seamark.machinery import gvr, names
from seamark.resources import field
from seamark.resources.access import section, text
from seamark.resources.registry import AGE, NAME, Causes, Column, Obj, Resource

STRATEGIES = ("OldestEmulationVersion",)


def validate(obj: Obj) -> Causes:
    spec = section(obj, "spec")
    causes: Causes = []
    seconds = spec.get("leaseDurationSeconds")
    if seconds is not None and seconds <= 0:
        causes.append(field.invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"))
    causes += field.not_negative("spec.leaseTransitions", spec.get("leaseTransitions"))
    strategy = spec.get("strategy")
    if strategy is not None and strategy not in STRATEGIES:
        path = "spec.strategy.strategy"  # the doubled name is Kubernetes'
        if "/" in strategy:
            causes += field.invalids(path, strategy, names.validate_qualified_name(strategy))
        else:
            causes.append(field.not_supported(path, strategy, STRATEGIES))
    if spec.get("preferredHolder") and not spec.get("strategy"):
        detail = "may only be specified if `strategy` is defined"
        causes.append(field.forbidden("spec.preferredHolder", detail))
    return causes


def prepare_create(obj: Obj) -> None:
    """Without coordinated leader election, a feature gate that is off, nobody is preferred."""
    spec = section(obj, "spec")
    spec.pop("strategy", None)
    spec.pop("preferredHolder", None)


def prepare_update(new: Obj, old: Obj) -> None:
    prepare_create(new)


LEASE = Resource(
    gvr=gvr.LEASES,
    singular="lease",
    columns=(NAME, Column("Holder", cell=lambda obj, now: text(obj, "spec", "holderIdentity")), AGE),
    allows_create_on_update=True,
    unconditional_update=False,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
)
