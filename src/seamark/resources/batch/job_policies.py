"""Validation of what a Job says about failures and success: pod failure policy, success policy, limits per index."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from typing import Any

from seamark.machinery import names
from seamark.resources import field
from seamark.resources.access import entries, number, section, text
from seamark.resources.registry import Causes, Obj

INDEXED = "Indexed"
ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
OPERATORS = ("In", "NotIn")
STATUSES = ("False", "True", "Unknown")
MAX_RULES, MAX_VALUES, MAX_PATTERNS, MAX_INDEXES_TEXT = 20, 255, 20, 64 * 1024
MAX_FAILED, SOFT_LIMIT, HIGH_LIMIT = 100_000, 100_000, 10_000


def _listed(values: tuple[str, ...]) -> str:
    shown = " ".join(f'"{value}"' for value in values)
    return f"valid values: [{shown}]"


def validate_index_limits(path: str, spec: Obj) -> Causes:
    limit, most, causes = spec.get("backoffLimitPerIndex"), spec.get("maxFailedIndexes"), Causes()
    causes += field.not_negative(f"{path}.backoffLimitPerIndex", limit)
    causes += field.not_negative(f"{path}.maxFailedIndexes", most)
    if most is not None and limit is None:
        causes.append(field.required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    return causes


def validate_indexed_limits(path: str, spec: Obj) -> Causes:
    """What the completion mode has to do with them; comes behind the checks of the mode."""
    limit, most, completions = spec.get("backoffLimitPerIndex"), spec.get("maxFailedIndexes"), spec.get("completions")
    at = f"{path}.maxFailedIndexes"
    if spec.get("completionMode") == "NonIndexed":
        given = ((f"{path}.backoffLimitPerIndex", limit), (at, most))
        return [field.invalid(p, v, "requires indexed completion mode") for p, v in given if v is not None]
    causes: Causes = []
    if spec.get("completionMode") != INDEXED:
        return causes
    if completions is not None and most is not None and most > completions:
        causes.append(field.invalid(at, most, "must be less than or equal to completions"))
    if most is not None and most > MAX_FAILED:
        causes.append(field.invalid(at, most, f"must be less than or equal to {MAX_FAILED}"))
    if completions is None or completions <= SOFT_LIMIT or limit is None:
        return causes
    if most is None:
        causes.append(field.required(at, f"must be specified when completions is above {SOFT_LIMIT}"))
    detail = (
        f"must be less than or equal to {HIGH_LIMIT} when completions are above {SOFT_LIMIT} "
        "and used with backoff limit per index"
    )
    if number(spec, "parallelism") > HIGH_LIMIT:
        causes.append(field.invalid(f"{path}.parallelism", spec["parallelism"], detail))
    if most is not None and most > HIGH_LIMIT:
        causes.append(field.invalid(at, most, detail))
    return causes


def validate_failure_policy(path: str, spec: Obj) -> Causes:
    policy = spec.get("podFailurePolicy")
    if not isinstance(policy, dict):
        return []
    rules, causes, at = entries(policy, "rules"), Causes(), f"{path}.podFailurePolicy.rules"
    if len(rules) > MAX_RULES:
        causes.append(field.too_many(at, len(rules), MAX_RULES))
    pod = section(spec, "template", "spec")
    containers = [text(c, "name") for kind in ("containers", "initContainers") for c in entries(pod, kind)]
    per_index = spec.get("backoffLimitPerIndex") is not None
    for i, rule in enumerate(rules):
        causes += _validate_rule(field.index(at, i), rule, containers, per_index=per_index)
    return causes


def _validate_rule(path: str, rule: Obj, containers: list[str], *, per_index: bool) -> Causes:
    action, codes, patterns = text(rule, "action"), rule.get("onExitCodes"), entries(rule, "onPodConditions")
    causes: Causes = []
    if not action:
        causes.append(field.required(f"{path}.action", _listed(ACTIONS)))
    elif action == "FailIndex" and not per_index:
        causes.append(field.invalid(f"{path}.action", action, "requires the backoffLimitPerIndex to be set"))
    elif action not in ACTIONS:
        causes.append(field.not_supported(f"{path}.action", action, ACTIONS))
    if isinstance(codes, dict):
        causes += _validate_codes(f"{path}.onExitCodes", codes, containers)
    causes += _validate_patterns(f"{path}.onPodConditions", patterns)
    if isinstance(codes, dict) and patterns:
        detail = "specifying both OnExitCodes and OnPodConditions is not supported"
        causes.append(field.invalid_plain(path, detail))
    if not isinstance(codes, dict) and not patterns:
        causes.append(field.invalid_plain(path, "specifying one of OnExitCodes and OnPodConditions is required"))
    return causes


def _validate_patterns(path: str, patterns: list[Obj]) -> Causes:
    causes: Causes = []
    if len(patterns) > MAX_PATTERNS:
        causes.append(field.too_many(path, len(patterns), MAX_PATTERNS))
    for i, pattern in enumerate(patterns):
        at, kind, status = field.index(path, i), text(pattern, "type"), text(pattern, "status")
        causes += field.invalids(f"{at}.type", kind, names.validate_qualified_name(kind))
        if not status:
            causes.append(field.required(f"{at}.status", _listed(STATUSES)))
        elif status not in STATUSES:
            causes.append(field.not_supported(f"{at}.status", status, STATUSES))
    return causes


def _validate_codes(path: str, codes: Obj, containers: list[str]) -> Causes:
    operator, values, name, causes = (
        text(codes, "operator"),
        entries(codes, "values"),
        codes.get("containerName"),
        Causes(),
    )
    if not operator:
        causes.append(field.required(f"{path}.operator", _listed(OPERATORS)))
    elif operator not in OPERATORS:
        causes.append(field.not_supported(f"{path}.operator", operator, OPERATORS))
    if name is not None and name not in containers:
        detail = "must be one of the container or initContainer names in the pod template"
        causes.append(field.invalid(f"{path}.containerName", name, detail))
    if not values:
        causes.append(field.invalid(f"{path}.values", codes.get("values"), "at least one value is required"))
    elif len(values) > MAX_VALUES:
        causes.append(field.too_many(f"{path}.values", len(values), MAX_VALUES))
    for i, value in enumerate(values):
        if operator == "In" and value == 0:
            causes.append(field.invalid(f"{path}.values[{i}]", value, "must not be 0 for the In operator"))
        if value in values[:i]:
            causes.append(field.duplicate(f"{path}.values[{i}]", value))
    if any(later < earlier for earlier, later in pairwise(values)):
        causes.append(field.invalid(f"{path}.values", values, "must be ordered"))
    return causes


def validate_success_policy(path: str, spec: Obj) -> Causes:
    policy = spec.get("successPolicy")
    if not isinstance(policy, dict):
        return []
    at, rules, causes = f"{path}.successPolicy", entries(policy, "rules"), Causes()
    if spec.get("completionMode") != INDEXED:
        shown = [
            {"SucceededIndexes": r.get("succeededIndexes"), "SucceededCount": r.get("succeededCount")} for r in rules
        ]
        return [field.invalid_struct(at, {"Rules": shown or None}, "requires indexed completion mode")]
    if not rules:
        detail = "at least one rules must be specified when the successPolicy is specified"
        causes.append(field.required(f"{at}.rules", detail))
    if len(rules) > MAX_RULES:
        causes.append(field.too_many(f"{at}.rules", len(rules), MAX_RULES))
    for i, rule in enumerate(rules):
        causes += _validate_success(f"{at}.rules[{i}]", rule, number(spec, "completions"))
    return causes


def _validate_success(path: str, rule: Obj, completions: int) -> Causes:
    count, indexes, causes = rule.get("succeededCount"), rule.get("succeededIndexes"), Causes()
    if count is None and indexes is None:
        causes.append(field.required(path, "at least one of succeededCount or succeededIndexes must be specified"))
    total = 0
    if indexes is not None:
        if len(indexes) > MAX_INDEXES_TEXT:
            causes.append(field.too_long(f"{path}.succeededIndexes", MAX_INDEXES_TEXT))
        try:
            total = count_indexes(indexes, completions)
        except ValueError as error:
            detail = f"error parsing succeededIndexes: {error}"
            causes.append(field.invalid(f"{path}.succeededIndexes", indexes, detail))
    if count is None:
        return causes
    at = f"{path}.succeededCount"
    causes += field.not_negative(at, count)
    for most, what in (
        (completions, "specified completions"),
        (total, "indexes in the specified succeededIndexes field"),
    ):
        if count > most and (indexes is not None or most is completions):
            causes.append(field.invalid(at, count, f"must be less than or equal to {most} (the number of {what})"))
    return causes


def count_indexes(given: str, completions: int) -> int:
    """How many ``0,2-3`` names. Raises ValueError for what is no such list, or not of this many."""
    total, last = 0, -1
    for part in given.split(",") if given else ():
        first, end = _interval(part, completions)
        if last >= first:
            raise ValueError(f"non-increasing order, previous: {last}, current: {first}")
        total += end - first + 1
        last = end
    return total


def intervals(given: str, completions: int) -> list[tuple[int, int]]:
    """First and last of every part; what is no interval is left out."""
    found: list[tuple[int, int]] = []
    for part in given.split(",") if given else ():
        with suppress(ValueError):
            found.append(_interval(part, completions))
    return found


def _interval(part: str, completions: int) -> tuple[int, int]:
    limits = part.split("-")
    if len(limits) > 2:
        rule = "an index interval can have at most two parts separated by '-'"
        raise ValueError(f'the fragment "{part}" violates the requirement that {rule}')
    ends = [_index(limit, completions) for limit in limits]
    if len(ends) > 1 and ends[0] >= ends[1]:
        raise ValueError(f"non-increasing order, previous: {ends[0]}, current: {ends[1]}")
    return ends[0], ends[-1]


def _index(given: str, completions: int) -> int:
    if not given.lstrip("+-").isdecimal() or not given.isascii():
        raise ValueError(f'cannot convert string to integer for index: "{given}"')
    if int(given) >= completions:
        raise ValueError(f'too large index: "{given}"')
    return int(given)


def unchanged(path: str, spec: Obj, before: Obj) -> Causes:
    fields: tuple[Any, ...] = ("podFailurePolicy", "backoffLimitPerIndex", "successPolicy")
    return [cause for name in fields for cause in field.immutable(f"{path}.{name}", spec.get(name), before.get(name))]
