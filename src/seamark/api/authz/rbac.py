"""Roles and bindings as an index: who has which rules, and whether they allow what is asked, in about a microsecond.

Pure state without waiting: ``put`` and ``drop`` follow the store, everything else reads. A question is answered by
the bindings that name the asker (never by all), and the answer is remembered until a role or a binding changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from seamark.machinery.authorize import Attributes, Rule, allows, matches, parse_rules, quoted
from seamark.machinery.status import StatusError, not_found
from seamark.resources.rbac.rules import GROUP

PREFIX = f"/registry/{GROUP}/"

Groups = tuple[str, ...]
Key = tuple[str, str]  # namespace ("" = the cluster's) and name
_REMEMBERED = 16_384
_LONG = 256  # characters of a path, a resource or a namespace beyond which nothing is remembered


class Subject(NamedTuple):
    kind: str
    name: str
    namespace: str

    @property
    def key(self) -> tuple[str, str]:
        """A service account is the user of its name."""
        if self.kind == "ServiceAccount":
            return ("User", f"system:serviceaccount:{self.namespace}:{self.name}")
        return (self.kind, self.name)


class Binding(NamedTuple):
    """``namespace`` empty = a ClusterRoleBinding."""

    namespace: str
    name: str
    role_kind: str
    role_name: str
    subjects: tuple[Subject, ...]

    def describe(self, subject: Subject) -> str:
        """As the reason of an access review names it; the spelling name/namespace is Kubernetes'."""
        who = f"{subject.name}/{subject.namespace}" if subject.kind == "ServiceAccount" else subject.name
        kind = "RoleBinding" if self.namespace else "ClusterRoleBinding"
        where = f"{self.name}/{self.namespace}" if self.namespace else self.name
        return f"{kind} {quoted(where)} of {self.role_kind} {quoted(self.role_name)} to {subject.kind} {quoted(who)}"


def parse_binding(obj: Mapping[str, Any]) -> Binding:
    meta, role = obj["metadata"], obj.get("roleRef") or {}
    namespace = meta.get("namespace") or ""
    subjects = tuple(
        Subject(str(s.get("kind")), str(s.get("name")), str(s.get("namespace") or namespace))
        for s in obj.get("subjects") or ()
    )
    return Binding(namespace, meta["name"], str(role.get("kind")), str(role.get("name")), subjects)


class RbacIndex:
    def __init__(self) -> None:
        self._roles: dict[Key, tuple[Rule, ...]] = {}
        self._bindings: dict[Key, Binding] = {}
        self._by_subject: dict[tuple[str, str], set[Key]] = {}
        self._remembered: dict[tuple[Any, ...], frozenset[str] | None] = {}

    # -- following the store -------------------------------------------------------------------------------------

    def put(self, key: str, obj: Mapping[str, Any]) -> None:
        """``key`` is the store's."""
        self._remembered.clear()
        resource, where = _parse_key(key)
        if resource.endswith("bindings"):
            self._forget(where)
            binding = self._bindings[where] = parse_binding(obj)
            for subject in binding.subjects:
                self._by_subject.setdefault(subject.key, set()).add(where)
        else:
            self._roles[where] = parse_rules(obj.get("rules"))

    def drop(self, key: str) -> None:
        self._remembered.clear()
        resource, where = _parse_key(key)
        if resource.endswith("bindings"):
            self._forget(where)
        else:
            self._roles.pop(where, None)

    def _forget(self, where: Key) -> None:
        binding = self._bindings.pop(where, None)
        for subject in binding.subjects if binding else ():
            keys = self._by_subject.get(subject.key, set())
            keys.discard(where)
            if not keys:
                self._by_subject.pop(subject.key, None)

    # -- questions -----------------------------------------------------------------------------------------------

    def allowed(self, user: str, groups: Groups, asked: Attributes) -> bool:
        key = (user, groups, asked[:5]) if asked.resource else (user, groups, asked.verb, asked.path)
        try:
            names = self._remembered[key]
        except KeyError:
            names = self._names(user, groups, asked)
            if len(asked.path) + len(asked.resource) + len(asked.namespace) < _LONG:
                if len(self._remembered) >= _REMEMBERED:
                    self._remembered.clear()
                self._remembered[key] = names
        return names is None or asked.name in names

    def _names(self, user: str, groups: Groups, asked: Attributes) -> frozenset[str] | None:
        """The names of the objects for which it is allowed; None = all of them."""
        found: set[str] = set()
        for _, _, rules in self._granted(user, groups, asked.namespace):
            for rule in rules or ():
                if not matches(rule, asked):
                    continue
                if not rule.names:
                    return None
                found.update(rule.names)
        return frozenset(found)

    def explain(self, user: str, groups: Groups, asked: Attributes) -> tuple[bool, str]:
        """The same with the reason: the binding that allows it, or the roles that bindings name and nobody made."""
        missing: list[str] = []
        for binding, subject, rules in self._granted(user, groups, asked.namespace):
            if rules is None:
                missing.append(f"{binding.role_kind.lower()}.{GROUP} {quoted(binding.role_name)} not found")
            elif any(allows(rule, asked) for rule in rules):
                return True, f"RBAC: allowed by {binding.describe(subject)}"
        unique = list(dict.fromkeys(missing))
        shown = unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]"
        return False, f"RBAC: {shown}" if unique else ""

    def rules_for(self, user: str, groups: Groups, namespace: str) -> list[Rule]:
        """Everything somebody may do in a namespace (with what counts in the whole cluster); "" = the cluster's."""
        return [rule for _, _, rules in self._granted(user, groups, namespace) for rule in rules or ()]

    def role_rules(self, kind: str, name: str, namespace: str) -> tuple[Rule, ...]:
        """The rules of the role that a binding in ``namespace`` refers to. Raises NotFound."""
        rules = self._roles.get((namespace if kind == "Role" else "", name))
        if rules is None:
            raise _missing_role(kind, name)
        return rules

    def _granted(
        self, user: str, groups: Groups, namespace: str
    ) -> Iterator[tuple[Binding, Subject, tuple[Rule, ...] | None]]:
        """The bindings that name the asker, in order of their names, those of the cluster first."""
        who = {("User", user), *(("Group", group) for group in groups)}
        keys = {key for one in who for key in self._by_subject.get(one, ()) if key[0] in ("", namespace)}
        for key in sorted(keys):
            binding = self._bindings[key]
            subject = next(s for s in binding.subjects if s.key in who)
            role = (binding.namespace if binding.role_kind == "Role" else "", binding.role_name)
            yield binding, subject, self._roles.get(role)


def _parse_key(key: str) -> tuple[str, Key]:
    resource, *where = key.removeprefix(PREFIX).split("/")
    return resource, (where[0], where[1]) if len(where) > 1 else ("", where[0])


def _missing_role(kind: str, name: str) -> StatusError:
    return not_found(f"{kind.lower()}s", name, group=GROUP)
