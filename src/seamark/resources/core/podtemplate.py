"""core/v1 PodTemplate: a template of pods kept for others to use."""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.resources.access import ensure, entries, section
from seamark.resources.columns import format_labels, images_of, names_of
from seamark.resources.core.podspec_defaults import default_pod_spec
from seamark.resources.core.podspec_validation import validate_pod_template
from seamark.resources.core.podspec_warnings import spec_warnings
from seamark.resources.registry import NAME, Causes, Column, Obj, Resource


def default_podtemplate(obj: Obj) -> None:
    template = ensure(obj, "template")
    ensure(template, "metadata")
    default_pod_spec(ensure(template, "spec"))


def validate(obj: Obj) -> Causes:
    return validate_pod_template("template", section(obj, "template"))


def _containers(obj: Obj) -> list[Obj]:
    return entries(obj, "template", "spec", "containers")


PODTEMPLATE = Resource(
    gvr=gvr.PODTEMPLATES,
    singular="podtemplate",
    columns=(
        NAME,
        Column("Containers", cell=lambda obj, now: names_of(_containers(obj))),
        Column("Images", cell=lambda obj, now: images_of(_containers(obj))),
        Column("Pod Labels", cell=lambda obj, now: format_labels(section(obj, "template", "metadata", "labels"))),
    ),
    has_generation=True,
    default=default_podtemplate,
    validate=validate,
    warnings=lambda obj: spec_warnings("template.spec", section(obj, "template", "spec")),
)
