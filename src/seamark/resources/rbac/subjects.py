"""What the two bindings share: the role they refer to for good, and the subjects they give it to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from seamark.machinery.names import validate_dns1123_subdomain, validate_path_segment
from seamark.resources import field
from seamark.resources.access import default, ensure, entries, section, text
from seamark.resources.rbac.rules import GROUP
from seamark.resources.registry import AGE, NAME, Causes, Column, Obj

SERVICE_ACCOUNT, USER, GROUP_KIND = "ServiceAccount", "User", "Group"
SUBJECT_KINDS = (SERVICE_ACCOUNT, USER, GROUP_KIND)


def set_defaults(obj: Obj) -> None:
    default(ensure(obj, "roleRef"), "apiGroup", GROUP)
    for subject in entries(obj, "subjects"):
        if subject.get("kind") in (USER, GROUP_KIND):
            default(subject, "apiGroup", GROUP)


def validate_binding(obj: Obj, *, roles: Sequence[str], namespaced: bool) -> Causes:
    role = section(obj, "roleRef")
    causes: Causes = []
    if text(role, "apiGroup") != GROUP:
        causes.append(field.not_supported("roleRef.apiGroup", text(role, "apiGroup"), [GROUP]))
    if text(role, "kind") not in roles:
        causes.append(field.not_supported("roleRef.kind", text(role, "kind"), roles))
    name = text(role, "name")
    if not name:
        causes.append(field.required("roleRef.name"))
    causes += field.invalids("roleRef.name", name, validate_path_segment(name) if name else ())
    for i, subject in enumerate(entries(obj, "subjects")):
        causes += _validate_subject(field.index("subjects", i), subject, namespaced=namespaced)
    return causes


def _validate_subject(path: str, subject: Obj, *, namespaced: bool) -> Causes:
    kind, name, group = text(subject, "kind"), text(subject, "name"), text(subject, "apiGroup")
    causes: Causes = [] if name else [field.required(f"{path}.name")]
    if kind == SERVICE_ACCOUNT:
        if name:
            causes += field.invalids(f"{path}.name", name, validate_dns1123_subdomain(name))
        if group:
            causes.append(field.not_supported(f"{path}.apiGroup", group, [""]))
        if not namespaced and not text(subject, "namespace"):
            causes.append(field.required(f"{path}.namespace"))
    elif kind in SUBJECT_KINDS:
        if group != GROUP:
            causes.append(field.not_supported(f"{path}.apiGroup", group, [GROUP]))
    else:
        causes.append(field.not_supported(f"{path}.kind", kind, SUBJECT_KINDS))
    return causes


def validate_binding_update(new: Obj, old: Obj) -> Causes:
    """A binding gives one role for its whole life; who may edit its subjects cannot turn it into another role."""
    fields = ("apiGroup", "kind", "name")
    now, then = ({name: text(obj, "roleRef", name) for name in fields} for obj in (new, old))
    return [] if now == then else [field.invalid_struct("roleRef", now, "cannot change roleRef")]


def _names(obj: Obj, kind: str) -> Iterator[str]:
    for subject in entries(obj, "subjects"):
        if subject.get("kind") == kind:
            name = text(subject, "name")
            yield f"{text(subject, 'namespace')}/{name}" if kind == SERVICE_ACCOUNT else name


def _joined(names: Iterable[str]) -> str:
    return ", ".join(names)


COLUMNS = (
    NAME,
    Column("Role", cell=lambda obj, now: f"{text(obj, 'roleRef', 'kind')}/{text(obj, 'roleRef', 'name')}"),
    AGE,
    Column("Users", priority=1, cell=lambda obj, now: _joined(_names(obj, USER))),
    Column("Groups", priority=1, cell=lambda obj, now: _joined(_names(obj, GROUP_KIND))),
    Column("ServiceAccounts", priority=1, cell=lambda obj, now: _joined(_names(obj, SERVICE_ACCOUNT))),
)
