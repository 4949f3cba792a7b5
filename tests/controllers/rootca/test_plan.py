"""The root CA ConfigMap: made, mended, left alone in a namespace that goes."""

from __future__ import annotations

from seamark.controllers.rootca.plan import Create, Patch, plan_rootca
from seamark.model.service import Namespace
from seamark.testing.builders import as_kind, make_meta

SHOP = as_kind(Namespace, {"metadata": make_meta("shop", "")})


def test_missing_one_is_made() -> None:
    found = plan_rootca(SHOP, None, "CA")
    assert isinstance(found, Create)
    assert (found.obj["metadata"]["name"], found.obj["metadata"]["namespace"]) == ("kube-root-ca.crt", "shop")
    assert found.obj["data"] == {"ca.crt": "CA"}


def test_changed_one_is_mended_to_exactly_the_ca() -> None:
    assert plan_rootca(SHOP, {"ca.crt": "CA"}, "CA") is None
    assert plan_rootca(SHOP, {"ca.crt": "other", "more": "x"}, "CA") == Patch({"data": {"ca.crt": "CA", "more": None}})


def test_namespace_on_its_way_out_gets_none() -> None:
    going = as_kind(Namespace, {"metadata": make_meta("shop", "", deletionTimestamp="2023-11-14T22:13:20Z")})
    assert plan_rootca(going, None, "CA") is None
