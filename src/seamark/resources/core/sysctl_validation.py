"""``spec.securityContext.sysctls``: names, and none of a namespace that the pod shares with its node.

Whether a node allows one is the node's to say (agent/admission.py).
"""

from __future__ import annotations

import re

from seamark.resources import field
from seamark.resources.access import entries, section, text
from seamark.resources.registry import Causes, Obj

_SEGMENT = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_NAME = re.compile(rf"({_SEGMENT}[\./])*{_SEGMENT}")
_NAME_MAX = 253
_IPC = re.compile(r"kernel\.(sem|shm|shmall|shmmax|shmmni|shm_rmid_forced|msg|msgmax|msgmnb|msgmni)|fs\.mqueue\..*")
_NET = "net."


def validate_sysctls(path: str, spec: Obj) -> Causes:
    """``path``: that of the pod's spec."""
    causes: Causes = []
    seen: set[str] = set()
    for i, sysctl in enumerate(entries(section(spec, "securityContext"), "sysctls")):
        at, name = f"{path}.securityContext.sysctls[{i}].name", text(sysctl, "name")
        if not name:
            causes.append(field.required(at))
        elif len(name) > _NAME_MAX or not _NAME.fullmatch(name):
            rule = f"must have at most {_NAME_MAX} characters and match regex ^{_NAME.pattern}$"
            causes.append(field.invalid(at, name, rule))
        elif name in seen:
            causes.append(field.duplicate(at, name))
        seen.add(name)
        shared = _shared(_normal(name), spec)
        if shared:
            causes.append(field.invalid(at, name, f"may not be specified when '{shared}' is true"))
    return causes


def _shared(name: str, spec: Obj) -> str:
    """The field that gives the pod the node's own namespace, where the sysctl belongs to that one."""
    if spec.get("hostNetwork") and name.startswith(_NET):
        return "hostNetwork"
    if spec.get("hostIPC") and _IPC.fullmatch(name):
        return "hostIPC"
    return ""


def _normal(name: str) -> str:
    """With dots between the parts; where slashes are, dots stand for themselves."""
    first = re.search(r"[./]", name)
    return name if first is None or first.group() == "." else name.translate(str.maketrans("./", "/."))
