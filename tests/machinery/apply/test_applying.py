"""Server-side apply: what is merged, what goes, who conflicts with whom."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.machinery.apply import (
    APPLY,
    UPDATE,
    Applied,
    ApplyConflictError,
    TypedError,
    Views,
    Writer,
    apply_config,
    track_update,
)
from seamark.machinery.apply.applying import LAST_APPLIED
from seamark.machinery.apply.managed import MAX_UPDATERS, Entry, cap_updaters
from seamark.machinery.fieldset import make_set

Obj = dict[str, Any]
CONFIG_MAPS = Views("ConfigMap", "v1")
SERVICES = Views("Service", "v1", ignored={"f:status": {}})
PODS = Views("Pod", "v1", ignored={"f:status": {}})
NONE = Applied({}, [])


def config_map(data: dict[str, str], **meta: Any) -> Obj:
    head = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", **meta}}
    return {**head, "data": data} if data else head


def service(*ports: Obj, **spec: Any) -> Obj:
    meta = {"name": "a", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": list(ports), **spec}}


def apply(
    before: Applied, config: Obj, manager: str = "one", *, views: Views = CONFIG_MAPS, force: bool = False
) -> Applied:
    writer = Writer(manager, APPLY, "v1", time="2030-01-01T00:00:00Z")
    return apply_config(before.obj, before.entries, config, views=views, writer=writer, force=force)


def update(before: Applied, new: Obj, manager: str = "up", *, views: Views = CONFIG_MAPS, time: str = "") -> Applied:
    writer = Writer(manager, UPDATE, "v1", time=time)
    return Applied(new, track_update(before.entries, before.obj, new, views=views, writer=writer))


def owned(applied: Applied) -> dict[tuple[str, str], Any]:
    return {(entry["manager"], entry["operation"]): entry["fieldsV1"] for entry in applied.entries}


def data_of(*keys: str) -> Obj:
    return make_set(*(("f:data", f"f:{key}") for key in keys))


class TestApply:
    def test_owns_what_it_names(self) -> None:
        made = apply(NONE, config_map({"k": "1"}, labels={"l": "x"}))
        assert made.obj["data"] == {"k": "1"}
        assert owned(made) == {("one", APPLY): {"f:data": {"f:k": {}}, "f:metadata": {"f:labels": {"f:l": {}}}}}

    def test_removes_what_it_no_longer_names(self) -> None:
        made = apply(apply(NONE, config_map({"k": "1", "l": "2"})), config_map({"k": "1"}))
        assert made.obj["data"] == {"k": "1"}
        assert owned(made) == {("one", APPLY): data_of("k")}

    def test_leaves_what_somebody_else_owns_too(self) -> None:
        shared = apply(apply(NONE, config_map({"k": "1"})), config_map({"k": "1"}), "two")
        assert owned(shared) == {("one", APPLY): data_of("k"), ("two", APPLY): data_of("k")}
        left = apply(shared, config_map({}))
        assert left.obj["data"] == {"k": "1"}
        assert owned(left)[("two", APPLY)] == data_of("k")

    def test_leaves_what_an_update_added(self) -> None:
        made = apply(NONE, config_map({"k": "1"}))
        made = update(made, config_map({"k": "1", "extra": "2"}))
        made = apply(made, config_map({"k": "3"}))
        assert made.obj["data"] == {"k": "3", "extra": "2"}
        assert owned(made) == {("one", APPLY): data_of("k"), ("up", UPDATE): data_of("extra")}

    def test_conflict_names_manager_and_field(self) -> None:
        made = apply(NONE, config_map({"k": "1"}))
        with pytest.raises(ApplyConflictError) as error:
            apply(made, config_map({"k": "2"}), "two")
        status = error.value.status()
        assert (status.code, status.reason) == (409, "Conflict")
        assert status.message == 'Apply failed with 1 conflict: conflict with "one": .data.k'
        cause = {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".data.k"}
        assert status.details["causes"] == [cause]

    def test_conflicts_stand_under_their_managers(self) -> None:
        made = update(apply(NONE, config_map({"k": "1", "l": "1"})), config_map({"k": "1", "l": "1", "m": "1"}))
        with pytest.raises(ApplyConflictError) as error:
            apply(made, config_map({"k": "2", "l": "2", "m": "2"}), "two")
        assert error.value.status().message == (
            'Apply failed with 3 conflicts: conflicts with "one":\n- .data.k\n- .data.l\n'
            'conflicts with "up" using v1:\n- .data.m'
        )

    def test_force_takes_over(self) -> None:
        made = apply(apply(NONE, config_map({"k": "1"})), config_map({"k": "2"}), "two", force=True)
        assert made.obj["data"] == {"k": "2"}
        assert owned(made) == {("two", APPLY): data_of("k")}

    def test_what_nobody_tracked_belongs_to_before_first_apply(self) -> None:
        live = Applied(config_map({"k": "1", "l": "1"}), [])
        with pytest.raises(ApplyConflictError, match="1 conflicts") as error:
            apply(live, config_map({"k": "2"}))
        assert 'conflict with "before-first-apply" using v1: .data.k' in error.value.status().message

    def test_ports_are_known_by_port_and_protocol(self) -> None:
        made = apply(NONE, service({"port": 53, "name": "dns"}, {"port": 53, "protocol": "UDP"}), views=SERVICES)
        ports = owned(made)[("one", APPLY)]["f:spec"]["f:ports"]
        assert ports == {
            'k:{"port":53,"protocol":"TCP"}': {".": {}, "f:name": {}, "f:port": {}},
            'k:{"port":53,"protocol":"UDP"}': {".": {}, "f:port": {}, "f:protocol": {}},
        }
        made = apply(made, service({"port": 53, "protocol": "UDP", "targetPort": 5353}), views=SERVICES)
        assert made.obj["spec"]["ports"] == [{"port": 53, "protocol": "UDP", "targetPort": 5353}]

    def test_items_keep_the_order_of_the_configuration(self) -> None:
        live = Applied(service({"port": 1}, {"port": 9}, {"port": 2}, {"port": 3}), [])
        made = apply(live, service({"port": 3}, {"port": 4}, {"port": 1}), views=SERVICES)
        assert [port["port"] for port in made.obj["spec"]["ports"]] == [9, 2, 3, 4, 1]

    def test_atomic_lists_and_maps_go_whole(self) -> None:
        made = apply(NONE, service({"port": 1}, selector={"a": "1"}), views=SERVICES)
        assert owned(made)[("one", APPLY)]["f:spec"]["f:selector"] == {}
        with pytest.raises(ApplyConflictError) as error:
            apply(made, service({"port": 1}, selector={"a": "1", "b": "2"}), "two", views=SERVICES)
        assert error.value.status().message.endswith(": .spec.selector")


class TestTyped:
    @pytest.mark.parametrize(
        ("spec", "text"),
        [
            ({"selctor": {}}, ".spec.selctor: field not declared in schema"),
            ({"ports": {}}, ".spec.ports: expected list, got &{map[]}"),
            ({"ports": [{"port": "x"}]}, '.spec.ports[port="x",protocol="TCP"].port: expected numeric'),
            ({"ports": [{"port": 1}, {"port": 1}]}, '.spec.ports: duplicate entries for key [port=1,protocol="TCP"]'),
            ({"ports": [None]}, ".spec.ports: element 0: associative list with keys may not have a null element"),
            ({"clusterIP": 1}, ".spec.clusterIP: expected string, got &value.valueUnstructured{Value:1}"),
            ({"selector": {"a": True}}, ".spec.selector.a: expected string"),
            ({"publishNotReadyAddresses": "yes"}, ".spec.publishNotReadyAddresses: expected boolean, got &{yes}"),
            ({"externalIPs": [1]}, ".spec.externalIPs[0]: expected string"),
        ],
    )
    def test_what_is_no_service(self, spec: Obj, text: str) -> None:
        with pytest.raises(TypedError) as error:
            apply(NONE, {**service(), "spec": spec}, views=SERVICES)
        assert str(error.value).startswith(text)

    def test_several_faults_stand_on_a_line_each(self) -> None:
        config = {**service(), "spec": {"clusterIP": 1, "type": 2}}
        with pytest.raises(TypedError, match=r"^errors:\n  \.spec\.clusterIP: .*\n  \.spec\.type: "):
            apply(NONE, config, views=SERVICES)

    def test_depth_is_bounded(self) -> None:
        deep: Any = {}
        for _ in range(5000):
            deep = {"a": deep}
        with pytest.raises(TypedError, match="nested deeper"):
            apply(NONE, deep)


class TestClientSideApply:
    """kubectl goes over to server-side apply without a conflict with itself."""

    def before(self, data: dict[str, str], live: dict[str, str]) -> Applied:
        last = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data})
        return update(NONE, config_map(live, annotations={LAST_APPLIED: last}), "kubectl-client-side-apply")

    def test_takes_over_and_keeps_the_annotation_current(self) -> None:
        made = apply(self.before({"k": "1"}, {"k": "1"}), config_map({"k": "2"}), "kubectl")
        assert made.obj["data"] == {"k": "2"}
        last = made.obj["metadata"]["annotations"][LAST_APPLIED]
        assert last == '{"apiVersion":"v1","data":{"k":"2"},"kind":"ConfigMap","metadata":{"name":"a"}}\n'

    def test_only_what_is_still_as_it_was_applied(self) -> None:
        with pytest.raises(ApplyConflictError):
            apply(self.before({"k": "1"}, {"k": "changed"}), config_map({"k": "2"}), "kubectl")

    def test_nobody_else_may(self) -> None:
        with pytest.raises(ApplyConflictError):
            apply(self.before({"k": "1"}, {"k": "1"}), config_map({"k": "2"}), "other")


class TestUpdate:
    def test_takes_what_it_changes_from_its_owner(self) -> None:
        made = update(apply(NONE, config_map({"k": "1", "l": "1"})), config_map({"k": "2", "l": "1"}))
        assert owned(made) == {("one", APPLY): data_of("l"), ("up", UPDATE): data_of("k")}

    def test_owner_of_nothing_is_forgotten(self) -> None:
        made = update(apply(NONE, config_map({"k": "1"})), config_map({"k": "2"}))
        assert owned(made) == {("up", UPDATE): data_of("k")}

    def test_a_whole_new_map_is_owned_itself(self) -> None:
        bare = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
        made = update(update(NONE, bare, "first"), config_map({"k": "1"}))
        assert owned(made) == {("up", UPDATE): {"f:data": {".": {}, "f:k": {}}}}

    def test_what_go_always_writes_is_owned_too(self) -> None:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": {"containers": [{"name": "c"}]}}
        made = update(NONE, pod, views=PODS)
        container = {".": {}, "f:name": {}, "f:resources": {}}
        assert owned(made) == {("up", UPDATE): {"f:spec": {"f:containers": {'k:{"name":"c"}': container}}}}

    def test_no_change_moves_no_time(self) -> None:
        made = update(NONE, config_map({"k": "1"}), time="2030-01-01T00:00:00Z")
        again = update(made, config_map({"k": "1"}), time="2031-01-01T00:00:00Z")
        assert again.entries == made.entries

    def test_the_oldest_updaters_go_together(self) -> None:
        entries: list[Entry] = [
            Writer(f"m{index:02}", UPDATE, "v1", time=f"2030-01-01T00:00:{index:02}Z").entry(data_of(f"k{index}"))
            for index in range(MAX_UPDATERS + 2)
        ]
        capped = cap_updaters(entries)
        assert len(capped) == MAX_UPDATERS
        (ancient,) = [entry for entry in capped if entry["manager"] == "ancient-changes"]
        assert ancient["fieldsV1"] == data_of("k0", "k1", "k2") and ancient["time"] == "2030-01-01T00:00:02Z"

    def test_an_entry_of_a_lost_version_goes(self) -> None:
        old = Applied(config_map({}), [Writer("x", UPDATE, "v1alpha1").entry(data_of("k"))])
        assert owned(update(old, config_map({"l": "1"}))) == {("up", UPDATE): {"f:data": {".": {}, "f:l": {}}}}


KEYS = st.sampled_from("abcdef")
DATA = st.dictionaries(KEYS, st.sampled_from("12"), max_size=4)
STEPS = st.lists(st.tuples(st.sampled_from(["one", "two", "three"]), DATA), min_size=1, max_size=6)


@given(STEPS)
def test_apply_twice_is_apply_once(steps: list[tuple[str, dict[str, str]]]) -> None:
    made = NONE
    for manager, data in steps:
        made = apply(made, config_map(data), manager, force=True)
        again = apply(made, config_map(data), manager)
        assert (again.obj, again.entries) == (made.obj, made.entries)


@given(STEPS)
def test_applying_nothing_removes_only_ones_own(steps: list[tuple[str, dict[str, str]]]) -> None:
    made = NONE
    for manager, data in steps:
        made = apply(made, config_map(data), manager, force=True)
    others = {manager for manager, _ in owned(made)} - {"one"}
    kept = {element for who in others for element in owned(made)[(who, APPLY)].get("f:data", {})}
    left = apply(made, config_map({}), "one")
    assert {f"f:{key}" for key in left.obj.get("data") or {}} == kept
    assert {who: owned(left)[(who, APPLY)] for who in others} == {who: owned(made)[(who, APPLY)] for who in others}


@given(DATA, DATA)
def test_disjoint_managers_never_conflict(left: dict[str, str], right: dict[str, str]) -> None:
    right = {f"x{key}": value for key, value in right.items()}
    made = NONE
    for _ in range(2):
        made = apply(made, config_map(left), "one")
        made = apply(made, config_map(right), "two")
    assert made.obj.get("data", {}) == left | right


@given(DATA, DATA)
def test_inputs_stay_as_they_are(left: dict[str, str], right: dict[str, str]) -> None:
    made = apply(NONE, config_map(left))
    live, entries, config = deepcopy(made.obj), deepcopy(made.entries), config_map(right)
    apply(made, config, "two", force=True)
    apply(made, config)
    assert (made.obj, made.entries, config) == (live, entries, config_map(right))
