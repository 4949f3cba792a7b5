"""The audit policy: which requests are told, and how much of them. The first rule that fits decides. Pure.

Facts: k8s.io/apiserver pkg/audit/policy. A request that no rule fits is not told.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import msgspec

from seamark.machinery.authorize import ALL, Attributes
from seamark.machinery.wire import Identity

Level = Literal["None", "Metadata", "Request", "RequestResponse"]
Stage = Literal["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"]
Names = tuple[str, ...]

API_VERSION = "audit.k8s.io/v1"


class PolicyError(Exception):
    """Names the field and what is wrong with it."""


class _Strict(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A typing error in a policy must not open or close the log unnoticed."""


class GroupResources(_Strict, frozen=True):
    group: str = ""
    resources: Names = ()
    resource_names: Names = ()

    def covers(self, asked: Attributes) -> bool:
        if self.group not in (asked.group, ALL):
            return False
        if not self.resources:
            return True
        if self.resource_names and asked.name not in self.resource_names:
            return False
        wide = {ALL, f"{asked.resource}/*"} | ({f"*/{asked.subresource}"} if asked.subresource else set())
        return any(one == asked.combined or one in wide for one in self.resources)


class Rule(_Strict, frozen=True):
    level: Level
    users: Names = ()
    user_groups: Names = ()
    verbs: Names = ()
    resources: tuple[GroupResources, ...] = ()
    namespaces: Names = ()
    non_resource_urls: Names = msgspec.field(default=(), name="nonResourceURLs")
    omit_stages: tuple[Stage, ...] = ()
    omit_managed_fields: bool | None = None

    def fits(self, who: Identity, asked: Attributes) -> bool:
        if self.users and who.user not in self.users:
            return False
        if self.user_groups and not set(self.user_groups) & set(who.groups):
            return False
        if self.verbs and asked.verb not in self.verbs:
            return False
        if self.namespaces or self.resources:
            in_place = not self.namespaces or asked.namespace in self.namespaces
            named = not self.resources or any(one.covers(asked) for one in self.resources)
            return bool(asked.resource) and in_place and named
        if self.non_resource_urls:
            return not asked.resource and any(_url_covers(url, asked.path) for url in self.non_resource_urls)
        return True


def _url_covers(url: str, path: str) -> bool:
    return url in (ALL, path) or (url.endswith(ALL) and path.startswith(url.rstrip(ALL)))


class Verdict(NamedTuple):
    level: Level
    omitted: frozenset[str]
    omit_managed_fields: bool


_SILENT = Verdict("None", frozenset(), omit_managed_fields=False)


class Policy(_Strict, frozen=True):
    api_version: str
    kind: Literal["Policy"]
    rules: tuple[Rule, ...]
    metadata: dict[str, Any] = {}
    omit_stages: tuple[Stage, ...] = ()
    omit_managed_fields: bool = False

    def judge(self, who: Identity, asked: Attributes) -> Verdict:
        for rule in self.rules:
            if rule.fits(who, asked):
                omits = self.omit_managed_fields if rule.omit_managed_fields is None else rule.omit_managed_fields
                return Verdict(rule.level, frozenset((*self.omit_stages, *rule.omit_stages)), omits)
        return _SILENT


def parse_policy(value: Any) -> Policy:
    """Of what the YAML file says. Raises PolicyError."""
    try:
        policy = msgspec.convert(value, Policy)
    except msgspec.ValidationError as error:
        raise PolicyError(str(error)) from None
    if policy.api_version != API_VERSION:
        raise PolicyError(f"apiVersion {policy.api_version!r} is not {API_VERSION}")
    if not policy.rules:
        raise PolicyError("rules: there must be at least one")
    for number, rule in enumerate(policy.rules):
        _check(rule, f"rules[{number}]")
    return policy


def _check(rule: Rule, where: str) -> None:
    if rule.non_resource_urls and (rule.resources or rule.namespaces):
        raise PolicyError(f"{where}.nonResourceURLs: a rule cannot apply to both resources and paths")
    for url in rule.non_resource_urls:
        if url != ALL and not url.startswith("/"):
            raise PolicyError(f'{where}.nonResourceURLs: {url!r} must begin with "/" or be "*"')
        if ALL in url[:-1]:
            raise PolicyError(f'{where}.nonResourceURLs: {url!r}: "*" may only stand at the end')
    for number, one in enumerate(rule.resources):
        if "/" in one.group:
            raise PolicyError(f"{where}.resources[{number}].group: {one.group!r} must be a group without its version")
        if one.resource_names and not one.resources:
            raise PolicyError(f"{where}.resources[{number}].resourceNames: needs resources as well")
