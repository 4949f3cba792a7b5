"""networking.k8s.io/v1 IngressClass: which controller serves an Ingress."""

from __future__ import annotations

from seamark.machinery import gvr, names
from seamark.machinery.status import Cause
from seamark.resources import field
from seamark.resources.access import default_pointer, ensure, section, text
from seamark.resources.columns import NONE, name_cell
from seamark.resources.networking.ingress import validate_reference
from seamark.resources.registry import AGE, Causes, Column, Obj, Resource

IS_DEFAULT = "ingressclass.kubernetes.io/is-default-class"
SCOPES = ("Cluster", "Namespace")
MAX_CONTROLLER = 250


def default_ingressclass(obj: Obj) -> None:
    parameters = ensure(obj, "spec").get("parameters")
    if isinstance(parameters, dict):
        default_pointer(parameters, "scope", "Cluster")


def validate(obj: Obj) -> Causes:
    spec, causes = section(obj, "spec"), list[Cause]()
    controller = text(spec, "controller")
    if len(controller) > MAX_CONTROLLER:
        causes.append(field.too_long("spec.controller", MAX_CONTROLLER))
    causes += field.domain_prefixed_path("spec.controller", controller)
    if spec.get("parameters") is not None:
        causes += _validate_parameters("spec.parameters", spec["parameters"])
    return causes


def _validate_parameters(path: str, parameters: Obj) -> Causes:
    causes = validate_reference(path, parameters)
    scope, namespace = parameters.get("scope"), parameters.get("namespace")
    if scope not in SCOPES:
        causes.append(field.not_supported(f"{path}.scope", scope, SCOPES))
    elif scope == "Namespace" and namespace is None:
        causes.append(field.required(f"{path}.namespace", "`parameters.scope` is set to 'Namespace'"))
    elif scope == "Namespace":
        causes += field.invalids(f"{path}.namespace", namespace, names.validate_dns1123_label(str(namespace)))
    elif namespace is not None:
        causes.append(field.forbidden(f"{path}.namespace", "`parameters.scope` is set to 'Cluster'"))
    return causes


def validate_update(new: Obj, old: Obj) -> Causes:
    return field.immutable("spec.controller", text(new, "spec", "controller"), text(old, "spec", "controller"))


def named_cell(obj: Obj, now: float, annotation: str = IS_DEFAULT) -> str:
    is_default = section(obj, "metadata", "annotations").get(annotation) == "true"
    return name_cell(obj, now) + (" (default)" if is_default else "")


def parameters_cell(obj: Obj, now: float) -> str:
    given = section(obj, "spec").get("parameters")
    if given is None:
        return NONE
    group = f".{given['apiGroup']}" if given.get("apiGroup") is not None else ""
    return f"{text(given, 'kind')}{group}/{text(given, 'name')}"


INGRESSCLASS = Resource(
    gvr=gvr.INGRESSCLASSES,
    singular="ingressclass",
    columns=(
        Column("Name", format="name", cell=named_cell),
        Column("Controller", cell=lambda obj, now: text(obj, "spec", "controller")),
        Column("Parameters", cell=parameters_cell),
        AGE,
    ),
    has_generation=True,
    default=default_ingressclass,
    validate=validate,
    validate_update=validate_update,
)
