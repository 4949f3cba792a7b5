"""What a Job's status may say: who counts the pods of a Job may be somebody else (``spec.managedBy``).

As in Kubernetes most rules look only at what this write changes, so that a status that is wrong already, or that a
change of the spec has made so, can still be mended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seamark.machinery.clock import parse_time
from seamark.machinery.status import Cause
from seamark.resources import field
from seamark.resources.access import entries, section
from seamark.resources.batch.job_policies import count_indexes, intervals
from seamark.resources.registry import Causes, Obj

COMPLETE, FAILED, TARGET, MET = "Complete", "Failed", "FailureTarget", "SuccessCriteriaMet"
_Rules = tuple[tuple[bool, Cause], ...]
_COUNTS = ("active", "succeeded", "failed", "ready", "terminating")


def has_condition(job: Obj, kind: str) -> bool:
    found: Obj = next((c for c in entries(job, "status", "conditions") if c.get("type") == kind), {})
    return bool(found.get("status") == "True")


def validate_job_status(new: Obj, old: Obj) -> Causes:
    status, write = section(new, "status"), _Write(new, old)
    causes = [c for name in _COUNTS for c in field.not_negative(f"status.{name}", status.get(name))]
    causes += _validate_uncounted(section(status, "uncountedTerminatedPods"))
    for rules in (_end_rules, _finished_rules):
        causes += [cause for broken, cause in rules(write) if broken]
    causes += _validate_indexes(write)
    for rules in (_pod_rules, _success_rules, _change_rules):
        causes += [cause for broken, cause in rules(write) if broken]
    return causes


@dataclass(frozen=True, slots=True)
class _Write:
    new: Obj
    old: Obj

    def get(self, name: str) -> Any:
        return section(self.new, "status").get(name) or None

    def was(self, name: str) -> Any:
        return section(self.old, "status").get(name) or None

    def spec(self, name: str) -> Any:
        return section(self.new, "spec").get(name)

    def has(self, kind: str) -> bool:
        return has_condition(self.new, kind)

    def had(self, kind: str) -> bool:
        return has_condition(self.old, kind)

    def changes(self, *names: str) -> bool:
        """One of these fields, or of these conditions."""
        return any(
            self.has(name) != self.had(name) if name[:1].isupper() else self.get(name) != self.was(name)
            for name in names
        )

    @property
    def finished(self) -> bool:
        return self.has(COMPLETE) or self.has(FAILED)

    @property
    def ends(self) -> bool:
        return self.finished != (self.had(COMPLETE) or self.had(FAILED))


def _conditions(detail: str) -> Cause:
    return field.invalid_plain("status.conditions", detail)


def _validate_uncounted(uncounted: Obj) -> Causes:
    causes, seen = Causes(), set[str]()
    for name in ("succeeded", "failed"):
        for i, uid in enumerate(entries(uncounted, name)):
            path = f"status.uncountedTerminatedPods.{name}[{i}]"
            if not uid:
                causes.append(field.invalid(path, uid, "must not be empty"))
            elif uid in seen:
                causes.append(field.duplicate(path, uid))
            seen.add(uid)
    return causes


def _end_rules(write: _Write) -> _Rules:
    complete, failed, target = write.has(COMPLETE), write.has(FAILED), write.has(TARGET)
    start, end = write.get("startTime"), write.get("completionTime")
    ends_now, path = write.changes(COMPLETE, "completionTime"), "status.completionTime"
    early = bool(start and end) and parse_time(end) < parse_time(start)
    none = "cannot set completionTime when there is no Complete=True condition"
    return (
        (
            complete and failed and write.changes(COMPLETE, FAILED),
            _conditions("cannot set Complete=True and Failed=true conditions"),
        ),
        (
            complete and target and write.changes(COMPLETE, TARGET),
            _conditions("cannot set Complete=True and FailureTarget=true conditions"),
        ),
        (ends_now and end is not None and not complete, field.invalid(path, end, none)),
        (ends_now and end is None and complete, field.required(path, "completionTime is required for Complete jobs")),
        (
            early and write.changes("startTime", "completionTime"),
            field.invalid(path, end, "must be equal to or after `startTime`"),
        ),
        (
            failed and not target and write.changes(FAILED, "failedIndexes"),
            _conditions("cannot set Failed=True condition without the FailureTarget=true condition"),
        ),
        (
            complete and not write.has(MET) and write.changes(COMPLETE, MET),
            _conditions("cannot set Complete=True condition without the SuccessCriteriaMet=true condition"),
        ),
    )


def _finished_rules(write: _Write) -> _Rules:
    active, uncounted = write.get("active") or 0, section(write.new, "status", "uncountedTerminatedPods")
    never_ran = write.spec("suspend") is True and write.spec("completions") == 0
    pods, path = any(uncounted.values()), "status.uncountedTerminatedPods"
    shown = {name.capitalize(): uncounted.get(name) for name in ("succeeded", "failed")}
    return (
        (
            write.finished and active > 0 and (write.ends or write.changes("active")),
            field.invalid("status.active", active, "active>0 is invalid for finished job"),
        ),
        (
            write.finished
            and write.get("startTime") is None
            and not never_ran
            and (write.ends or write.changes("startTime")),
            field.required("status.startTime", "startTime is required for finished job"),
        ),
        (
            write.finished and pods and (write.ends or write.changes("uncountedTerminatedPods")),
            field.invalid_struct(path, shown, "must be empty for finished job"),
        ),
    )


def _validate_indexes(write: _Write) -> Causes:
    completions, causes = write.spec("completions"), Causes()
    done, failed = (section(write.new, "status").get(name) for name in ("completedIndexes", "failedIndexes"))
    limit, is_indexed = write.spec("backoffLimitPerIndex"), write.spec("completionMode") == "Indexed"
    if write.changes("completedIndexes") and completions is not None:
        causes += _validate_format("completedIndexes", done or "", completions)
    if write.changes("failedIndexes") and completions is not None and limit is not None:
        causes += _validate_format("failedIndexes", failed or "", completions)
    if write.changes("completedIndexes") and done and not is_indexed:
        detail = "cannot set non-empty completedIndexes when non-indexed completion mode"
        causes.append(field.invalid("status.completedIndexes", done, detail))
    if write.changes("failedIndexes") and failed is not None and limit is None:
        detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
        causes.append(field.invalid("status.failedIndexes", failed, detail))
    if write.changes("failedIndexes", "completedIndexes") and completions is not None:
        both = _first_of_both(intervals(done or "", completions), intervals(failed or "", completions))
        if both is not None:
            detail = f"failedIndexes and completedIndexes overlap at index: {both}"
            causes.append(field.invalid("status.failedIndexes", failed, detail))
    return causes


def _validate_format(name: str, given: str, completions: int) -> Causes:
    try:
        count_indexes(given, completions)
    except ValueError as error:
        return [field.invalid(f"status.{name}", given, f"error parsing {name}: {error}")]
    return []


def _first_of_both(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> int | None:
    i = j = 0
    while i < len(left) and j < len(right):
        (low, high), (first, last) = left[i], right[j]
        if low <= last and first <= high:
            return max(low, first)
        if low <= first:
            i += 1
        else:
            j += 1
    return None


def _pod_rules(write: _Write) -> _Rules:
    terminating, ready = write.get("terminating") or 0, write.get("ready") or 0
    return (
        (
            write.finished and terminating > 0 and (write.ends or write.changes("terminating")),
            field.invalid("status.terminating", terminating, "terminating>0 is invalid for finished job"),
        ),
        (
            ready > (write.get("active") or 0) and write.changes("ready", "active"),
            field.invalid("status.ready", ready, "cannot set more ready pods than active"),
        ),
    )


def _success_rules(write: _Write) -> _Rules:
    met, by_policy = write.has(MET), write.spec("successPolicy") is not None
    unless = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True"
    return (
        (
            met and write.has(FAILED),
            _conditions("cannot set SuccessCriteriaMet=True and Failed=true conditions"),
        ),
        (
            met and write.has(TARGET),
            _conditions("cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"),
        ),
        (by_policy and not met and write.has(COMPLETE), _conditions(unless)),
    )


def _change_rules(write: _Write) -> _Rules:
    fell = {name: (write.get(name) or 0) < (write.was(name) or 0) for name in ("failed", "succeeded")}
    scales = write.spec("completionMode") == "Indexed" and write.spec("completions") == write.spec("parallelism")
    end, was_end, was_start = write.get("completionTime"), write.was("completionTime"), write.was("startTime")
    resumes = write.had("Suspended") and not write.has("Suspended")
    lost = {kind: write.had(kind) and not write.has(kind) for kind in (FAILED, COMPLETE, TARGET, MET)}
    late = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions"
    fixed = "field is immutable for unsuspended job once set"
    return (
        *(
            (lost[kind], _conditions(f"cannot disable the terminal {kind}=True condition"))
            for kind in (FAILED, COMPLETE, TARGET)
        ),
        *(
            (
                fell[name] and not (name == "succeeded" and scales),
                field.invalid(f"status.{name}", write.get(name) or 0, f"cannot decrease the {name} counter"),
            )
            for name in ("failed", "succeeded")
        ),
        (bool(end and was_end) and end != was_end, field.invalid("status.completionTime", end, field.IMMUTABLE)),
        (
            was_start is not None and write.changes("startTime") and not resumes and not write.spec("suspend"),
            field.invalid("status.startTime", write.get("startTime"), fixed),
        ),
        (lost[MET], _conditions("cannot disable the SuccessCriteriaMet=True condition")),
        (write.had(COMPLETE) and not write.had(MET) and write.has(MET), _conditions(late)),
    )
