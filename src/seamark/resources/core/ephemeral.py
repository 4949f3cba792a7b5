"""pods/NAME/ephemeralcontainers: containers that join a running pod to look at it (``kubectl debug``).

They can be added, never changed or taken away, and may have none of what a pod's own containers serve with.
"""

from __future__ import annotations

from collections.abc import Mapping

from seamark.machinery.jsonvalue import copy_json
from seamark.resources import field
from seamark.resources.access import entries, section, text
from seamark.resources.core.container_validation import validate_container
from seamark.resources.core.podspec_defaults import default_container
from seamark.resources.registry import Causes, Obj, Part

LIST = "ephemeralContainers"
MIRROR = "kubernetes.io/config.mirror"
NOT_ALLOWED = (
    "lifecycle",
    "livenessProbe",
    "ports",
    "readinessProbe",
    "resizePolicy",
    "resources",
    "restartPolicy",
    "restartPolicyRules",
    "startupProbe",
)
REFUSED = "cannot be set for an Ephemeral Container"


def _prepare(new: Obj, old: Obj) -> None:
    """Nothing but the list changes."""
    given = copy_json(entries(section(new, "spec"), LIST))
    for name in (new.keys() | old.keys()) - {"metadata"}:
        new.pop(name, None)
        if name in old:
            new[name] = copy_json(old[name])
    if given:
        for container in given:
            default_container(container)
        new["spec"][LIST] = given
    else:
        new["spec"].pop(LIST, None)


def _validate(new: Obj, old: Obj) -> Causes:
    if MIRROR in (old["metadata"].get("annotations") or {}):
        return [field.forbidden("", "static pods do not support ephemeral containers")]
    spec, path = section(new, "spec"), f"spec.{LIST}"
    causes = validate_ephemeral_containers(path, spec)
    now = {text(container, "name"): container for container in entries(spec, LIST)}
    for before in entries(section(old, "spec"), LIST):
        name = text(before, "name")
        if name not in now:
            causes.append(field.forbidden(path, f'existing ephemeral containers "{name}" may not be removed\n'))
        elif now[name] != before:
            causes.append(field.forbidden(path, f'existing ephemeral containers "{name}" may not be changed\n'))
    return causes


def validate_ephemeral_containers(path: str, spec: Obj) -> Causes:
    volumes: Mapping[str, Obj] = {text(volume, "name"): volume for volume in entries(spec, "volumes")}
    others = {text(c, "name") for name in ("containers", "initContainers") for c in entries(spec, name)}
    seen = set(others)
    causes: Causes = []
    for i, container in enumerate(entries(spec, LIST)):
        at = field.index(path, i)
        causes += validate_container(at, container, volumes)
        name, target = text(container, "name"), text(container, "targetContainerName")
        if name in seen:
            causes.append(field.duplicate(f"{at}.name", name))
        seen.add(name)
        if target and target not in others:
            causes.append(field.not_found(f"{at}.targetContainerName", target))
        causes += [field.forbidden(f"{at}.{key}", REFUSED) for key in NOT_ALLOWED if container.get(key)]
        for j, mount in enumerate(entries(container, "volumeMounts")):
            for key in ("subPath", "subPathExpr"):
                if text(mount, key):
                    causes.append(field.forbidden(f"{at}.volumeMounts[{j}].{key}", REFUSED))
    return causes


EPHEMERAL_CONTAINERS = Part(_prepare, _validate)
