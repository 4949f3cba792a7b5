"""The rows agree with what a real API server's discovery says (facts recorded from kube-apiserver 1.36.3)."""

from __future__ import annotations

from pathlib import Path

import pytest

from seamark.resources.registry import Column, Registry, Resource
from seamark.resources.table import ROWS, build_registry

# group/version resource singular short names, categories, namespaced (from discovery, our subset)
DISCOVERED = """
v1 bindings binding - - true
v1 configmaps configmap cm - true
v1 endpoints endpoints ep - true
v1 events event ev - true
v1 namespaces namespace ns - false
v1 nodes node no - false
v1 persistentvolumeclaims persistentvolumeclaim pvc - true
v1 persistentvolumes persistentvolume pv - false
v1 pods pod po all true
v1 secrets secret - - true
v1 serviceaccounts serviceaccount sa - true
v1 services service svc all true
apiextensions.k8s.io/v1 customresourcedefinitions customresourcedefinition crd,crds api-extensions false
apps/v1 controllerrevisions controllerrevision - - true
apps/v1 daemonsets daemonset ds all true
apps/v1 deployments deployment deploy all true
apps/v1 replicasets replicaset rs all true
apps/v1 statefulsets statefulset sts all true
v1 podtemplates podtemplate - - true
v1 replicationcontrollers replicationcontroller rc all true
networking.k8s.io/v1 ingressclasses ingressclass - - false
networking.k8s.io/v1 ingresses ingress ing - true
networking.k8s.io/v1 ipaddresses ipaddress ip - false
networking.k8s.io/v1 networkpolicies networkpolicy netpol - true
networking.k8s.io/v1 servicecidrs servicecidr - - false
v1 limitranges limitrange limits - true
v1 resourcequotas resourcequota quota - true
storage.k8s.io/v1 storageclasses storageclass sc - false
node.k8s.io/v1 runtimeclasses runtimeclass - - false
policy/v1 poddisruptionbudgets poddisruptionbudget pdb - true
scheduling.k8s.io/v1 priorityclasses priorityclass pc - false
autoscaling/v1 horizontalpodautoscalers horizontalpodautoscaler hpa all true
autoscaling/v2 horizontalpodautoscalers horizontalpodautoscaler hpa all true
batch/v1 cronjobs cronjob cj all true
batch/v1 jobs job - all true
discovery.k8s.io/v1 endpointslices endpointslice - - true
certificates.k8s.io/v1 certificatesigningrequests certificatesigningrequest csr - false
coordination.k8s.io/v1 leases lease - - true
events.k8s.io/v1 events event ev - true
authorization.k8s.io/v1 localsubjectaccessreviews localsubjectaccessreview - - true
authorization.k8s.io/v1 selfsubjectaccessreviews selfsubjectaccessreview - - false
authorization.k8s.io/v1 selfsubjectrulesreviews selfsubjectrulesreview - - false
authorization.k8s.io/v1 subjectaccessreviews subjectaccessreview - - false
authentication.k8s.io/v1 selfsubjectreviews selfsubjectreview - - false
authentication.k8s.io/v1 tokenreviews tokenreview - - false
rbac.authorization.k8s.io/v1 clusterrolebindings clusterrolebinding - - false
rbac.authorization.k8s.io/v1 clusterroles clusterrole - - false
rbac.authorization.k8s.io/v1 rolebindings rolebinding - - true
rbac.authorization.k8s.io/v1 roles role - - true
""".strip().splitlines()


@pytest.fixture(scope="module")
def registry() -> Registry:
    return build_registry()


@pytest.mark.parametrize("line", DISCOVERED, ids=lambda line: " ".join(line.split()[:2]))
def test_row_agrees_with_discovery(registry: Registry, line: str) -> None:
    group_version, resource, singular, short, category, namespaced = line.split()
    group, _, version = group_version.rpartition("/")
    found = registry.find(group, version, resource)
    assert found is not None
    row, gvr = found
    assert gvr.api_version == group_version
    assert row.singular == singular
    assert row.short_names == (() if short == "-" else tuple(short.split(",")))
    assert row.categories == (() if category == "-" else (category,))
    assert gvr.namespaced is (namespaced == "true")


def test_every_row_is_in_the_recorded_discovery() -> None:
    served = {(gvr.api_version, gvr.resource) for row in ROWS for gvr in (row.gvr, *row.served_as)}
    assert served == {(line.split()[0], line.split()[1]) for line in DISCOVERED}


def test_requests_are_create_only_and_stored_kinds_are_watchable() -> None:
    for row in ROWS:
        assert ("watch" in row.verbs) is row.stored, row.gvr.resource
        if not row.stored:
            assert row.verbs == ("create",)
        assert list(row.verbs) == sorted(row.verbs)


def test_group_versions_lists_core_first(registry: Registry) -> None:
    assert registry.group_versions()[0] == ("", "v1")


@pytest.mark.parametrize(
    ("kind", "label", "message"),
    [
        pytest.param(
            "ConfigMap",
            "data.x",
            '"data.x" is not a known field selector: only "metadata.name", "metadata.namespace"',
            id="a kind without selectors of its own",
        ),
    ],
)
def test_unknown_field_selector(registry: Registry, kind: str, label: str, message: str) -> None:
    row = next(r for r in registry.rows if r.gvr.kind == kind)
    assert row.unknown_field_selector(label) == message


# group/version resource columns; ":" a type other than string, "/" a format, "+" shown with -o wide only
COLUMNS = (Path(__file__).parent / "columns.txt").read_text().splitlines()


def written(column: Column) -> str:
    kind = "" if column.type == "string" else f":{column.type}"
    form = f"/{column.format}" if column.format else ""
    return column.name.replace(" ", "_") + kind + form + ("+" if column.priority else "")


@pytest.mark.parametrize("line", COLUMNS, ids=lambda line: " ".join(line.split()[:2]))
def test_columns_are_those_of_kubectl(registry: Registry, line: str) -> None:
    group_version, resource, *columns = line.split()
    group, _, version = group_version.rpartition("/")
    found = registry.find(group, version, resource)
    assert found is not None
    assert [written(column) for column in found[0].columns] == columns


def test_every_stored_kind_has_recorded_columns() -> None:
    stored = {(g.api_version, g.resource) for row in ROWS if row.stored for g in (row.gvr, *row.served_as)}
    assert stored == {(line.split()[0], line.split()[1]) for line in COLUMNS}


@pytest.mark.parametrize("row", [row for row in ROWS if row.stored], ids=lambda row: row.gvr.kind)
def test_cells_of_an_object_without_anything_do_not_fail(row: Resource) -> None:
    """A table is made of whatever is stored; one bare object must not break the list."""
    bare: dict[str, object] = {"metadata": {"name": "x"}}
    for obj in (bare, {**bare, "spec": None, "status": None, "subsets": None}):
        for column in row.columns:
            if column.cell is not None:
                assert column.cell(dict(obj), 0.0) is not None
