"""The DNS table: every record form of the specification, and update against a full compile."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seamark.compile.dnsrecords import Naming
from seamark.compile.dnstable import DnsOptions, DnsTable, compile_dnstable
from seamark.model import codec
from seamark.model.endpointslice import EndpointSlice
from seamark.model.meta import ObjectKey
from seamark.model.pod import Pod
from seamark.model.service import Namespace, Service
from seamark.model.snapshot import Change, Snapshot, apply_change

Obj = dict[str, Any]


def meta(name: str, namespace: str = "default", **more: object) -> Obj:
    return {"metadata": {"name": name, "namespace": namespace, "resourceVersion": "7", **more}}


def namespace(name: str = "default") -> Namespace:
    return codec.convert({"metadata": {"name": name, "resourceVersion": "1"}}, Namespace)


def service(name: str, *ips: str, ports: list[Obj] | None = None, ns: str = "default", **spec: object) -> Service:
    fields = {"clusterIP": ips[0] if ips else "", "clusterIPs": list(ips), "ports": ports, **spec}
    return codec.convert({**meta(name, ns), "spec": fields}, Service)


def endpoints(
    name: str,
    of: str | None,
    *found: Obj,
    ports: list[Obj] | None = None,
    ns: str = "default",
) -> EndpointSlice:
    labels = {"kubernetes.io/service-name": of} if of else {}
    return codec.convert({**meta(name, ns, labels=labels), "endpoints": list(found), "ports": ports}, EndpointSlice)


def at(*addresses: str, **more: object) -> Obj:
    return {"addresses": list(addresses), **more}


def pod(name: str, *ips: str, phase: str = "Running", ns: str = "default", **more: object) -> Pod:
    status = {"phase": phase, "podIP": ips[0] if ips else "", "podIPs": [{"ip": ip} for ip in ips]}
    return codec.convert({**meta(name, ns, **more), "status": status}, Pod)


HTTP = {"name": "http", "protocol": "TCP", "port": 80}
DNS_UDP = {"name": "dns", "protocol": "UDP", "port": 53}
DNS_TCP = {"name": "dns", "protocol": "TCP", "port": 53}

OBJECTS: list[Any] = [
    namespace(),
    service("web", "10.96.0.5", ports=[HTTP]),
    endpoints("web-1", "web", at("10.244.1.4"), at("10.244.2.4"), ports=[{**HTTP, "port": 8080}]),
    service("dual", "10.96.0.6", "fd00:96::6", ports=[HTTP]),
    service("plain", "10.96.0.7", ports=[{"protocol": "TCP", "port": 9000}]),
    service("twice", "10.96.0.8", ports=[DNS_UDP, DNS_TCP]),
    service("portless", "10.96.0.9"),
    service("five", "10.96.0.10", ports=[{"name": f"p{i}", "protocol": "TCP", "port": 8000 + i} for i in range(5)]),
    service("pending", "", ports=[HTTP]),
    service("heads", "None", ports=[HTTP]),
    endpoints(
        "heads-1",
        "heads",
        at("10.244.1.5", hostname="db-0"),
        at("10.244.1.6"),
        at("10.244.1.7", conditions={"ready": False, "serving": True}),
        at("10.244.1.8", conditions={"ready": True, "terminating": True}),
        ports=[{**HTTP, "port": 8080}],
    ),
    endpoints("heads-2", "heads", at("10.244.1.6"), at("10.244.1.9"), ports=[{**HTTP, "port": 8081}]),
    service("bare", "None"),
    endpoints("bare-1", "bare", at("10.244.1.10", "10.244.1.11")),
    service("six", "None", ports=[HTTP]),
    endpoints("six-1", "six", at("fd00:1::"), at("fd00:1::2"), ports=[HTTP]),
    service("none-ready", "None", ports=[HTTP]),
    endpoints("none-ready-1", "none-ready", at("10.244.1.12", conditions={"ready": False}), ports=[HTTP]),
    service("no-slices", "None", ports=[HTTP]),
    service("alias", externalName="www.example.com", type="ExternalName"),
    service("dotted", externalName="www.example.com.", type="ExternalName"),
    service("address", externalName="192.0.2.1", type="ExternalName"),
    endpoints("orphan-1", "gone", at("10.244.3.3"), ports=[HTTP]),
    endpoints("unlabelled", None, at("10.244.3.4"), ports=[HTTP]),
    service("hidden", "10.96.9.9", ports=[HTTP], ns="missing"),
    pod("a", "10.244.1.20", "fd00:1::20"),
    pod("done", "10.244.1.21", phase="Succeeded"),
    pod("leaving", "10.244.1.22", deletionTimestamp="2026-11-24T09:50:00Z"),
]


def table_of(*more: Any, **options: Any) -> DnsTable:
    return compile_dnstable(Snapshot.of([*OBJECTS, *more]), DnsOptions(**options))


def found(table: DnsTable, name: str) -> dict[str, list[str]] | None:
    records = table.find(name.split(".") if name else [])
    return None if records is None else {t: [r.data for r in rs] for t, rs in records.answers.items()}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("web.default.svc", {"A": ["10.96.0.5"], "SRV": ["0 100 80 web.default.svc"]}, id="ClusterIP"),
        pytest.param(
            "_http._tcp.web.default.svc", {"A": ["10.96.0.5"], "SRV": ["0 100 80 web.default.svc"]}, id="port"
        ),
        pytest.param(
            "http.tcp.web.default.svc", {"A": ["10.96.0.5"], "SRV": ["0 100 80 web.default.svc"]}, id="bare port"
        ),
        pytest.param(
            "_._tcp.web.default.svc", {"A": ["10.96.0.5"], "SRV": ["0 100 80 web.default.svc"]}, id="any port"
        ),
        pytest.param("_http._udp.web.default.svc", None, id="port of another protocol"),
        pytest.param("x._http._tcp.web.default.svc", None, id="three labels too many"),
        pytest.param(
            "10-244-1-4.web.default.svc",
            {"A": ["10.244.1.4"], "SRV": ["0 100 8080 10-244-1-4.web.default.svc"]},
            id="endpoint below a ClusterIP service: target port",
        ),
        pytest.param(
            "dual.default.svc",
            {"A": ["10.96.0.6"], "AAAA": ["fd00:96::6"], "SRV": ["0 50 80 dual.default.svc"]},
            id="dual stack halves the weight",
        ),
        pytest.param(
            "plain.default.svc", {"A": ["10.96.0.7"], "SRV": ["0 100 9000 plain.default.svc"]}, id="unnamed port"
        ),
        pytest.param(
            "twice.default.svc", {"A": ["10.96.0.8"], "SRV": ["0 50 53 twice.default.svc"]}, id="UDP and TCP merge"
        ),
        pytest.param("portless.default.svc", {"A": ["10.96.0.9"]}, id="no ports, no SRV"),
        pytest.param(
            "five.default.svc",
            {"A": ["10.96.0.10"], "SRV": [f"0 20 {8000 + i} five.default.svc" for i in range(5)]},
            id="five ports",
        ),
        pytest.param("pending.default.svc", {}, id="no address yet: the name exists"),
        pytest.param(
            "heads.default.svc",
            {
                "A": ["10.244.1.5", "10.244.1.6", "10.244.1.8", "10.244.1.9"],
                "SRV": [
                    "0 20 8080 db-0.heads.default.svc",
                    "0 20 8080 10-244-1-6.heads.default.svc",
                    "0 20 8080 10-244-1-8.heads.default.svc",
                    "0 20 8081 10-244-1-6.heads.default.svc",
                    "0 20 8081 10-244-1-9.heads.default.svc",
                ],
            },
            id="headless: ready endpoints of all slices",
        ),
        pytest.param(
            "db-0.heads.default.svc", {"A": ["10.244.1.5"], "SRV": ["0 100 8080 db-0.heads.default.svc"]}, id="hostname"
        ),
        pytest.param("10-244-1-5.heads.default.svc", None, id="a hostname replaces the dashed form"),
        pytest.param("bare.default.svc", {"A": ["10.244.1.10", "10.244.1.11"]}, id="headless without ports"),
        pytest.param(
            "fd00-1--0.six.default.svc", {"AAAA": ["fd00:1::"], "SRV": ["0 100 80 fd00-1--0.six.default.svc"]}, id="--0"
        ),
        pytest.param("none-ready.default.svc", None, id="headless without ready endpoints"),
        pytest.param("no-slices.default.svc", None, id="headless without slices"),
        pytest.param("alias.default.svc", {"CNAME": ["www.example.com."]}, id="ExternalName"),
        pytest.param("dotted.default.svc", {"CNAME": ["www.example.com."]}, id="ExternalName with a final dot"),
        pytest.param("_http._tcp.alias.default.svc", None, id="nothing below ExternalName"),
        pytest.param("address.default.svc", None, id="ExternalName that is an address"),
        pytest.param("10-244-3-3.gone.default.svc", None, id="endpoints of a missing service"),
        pytest.param("hidden.missing.svc", None, id="missing namespace"),
        pytest.param("missing.svc", None, id="missing namespace itself"),
        pytest.param("default.svc", {}, id="namespace"),
        pytest.param("svc", {}, id="svc"),
        pytest.param("pod", {}, id="pod"),
        pytest.param("", {}, id="apex"),
        pytest.param("nosuch.default.svc", None, id="no such service"),
        pytest.param("web.default.nosvc", None, id="no such kind"),
        pytest.param("10-244-1-20.default.pod", None, id="pods disabled"),
        pytest.param("default.pod", None, id="pod names of a namespace, disabled"),
    ],
)
def test_names(name: str, expected: dict[str, list[str]] | None) -> None:
    assert found(table_of(), name) == expected


def test_additional_addresses_are_those_of_every_target() -> None:
    records = table_of().find(["heads", "default", "svc"])
    assert records is not None
    assert [(r.owner, r.data) for r in records.additional] == [
        ("db-0.heads.default.svc", "10.244.1.5"),
        ("10-244-1-6.heads.default.svc", "10.244.1.6"),
        ("10-244-1-8.heads.default.svc", "10.244.1.8"),
        ("10-244-1-9.heads.default.svc", "10.244.1.9"),
    ]


@pytest.mark.parametrize(
    ("address", "names"),
    [
        pytest.param("10.96.0.5", ["web.default.svc"], id="cluster IP"),
        pytest.param("fd00:96::6", ["dual.default.svc"], id="cluster IPv6"),
        pytest.param("10.244.1.5", ["db-0.heads.default.svc"], id="endpoint with a hostname"),
        pytest.param("10.244.1.6", ["10-244-1-6.heads.default.svc"], id="in two slices, once"),
        pytest.param("10.244.1.7", [], id="not ready"),
        pytest.param("10.244.3.3", ["10-244-3-3.gone.default.svc"], id="slice of a missing service"),
        pytest.param("10.244.3.4", [], id="slice without label"),
        pytest.param("10.244.1.20", [], id="plain pod"),
        pytest.param("10.96.9.9", ["hidden.missing.svc"], id="missing namespaces do not hide"),
        pytest.param("192.0.2.77", [], id="unknown"),
    ],
)
def test_reverse(address: str, names: list[str]) -> None:
    assert [r.data for r in table_of(pods="verified").reverse(address)] == names


def test_a_cluster_ip_wins_over_an_endpoint() -> None:
    table = table_of(endpoints("shadow", "web", at("10.96.0.6"), ports=[HTTP]))
    assert [r.data for r in table.reverse("10.96.0.6")] == ["dual.default.svc"]


def test_namespaces_hides_names_and_reverse_names() -> None:
    table = table_of(namespaces=frozenset({"other"}))
    assert found(table, "web.default.svc") is None
    assert table.reverse("10.96.0.5") == ()
    assert table.reverse("10.244.1.5") == ()


@pytest.mark.parametrize(
    ("mode", "name", "expected"),
    [
        ("insecure", "10-0-0-1.default.pod", {"A": ["10.0.0.1"], "SRV": ["0 100 0 10-0-0-1.default.pod"]}),
        ("insecure", "x.10-0-0-1.default.pod", {"A": ["10.0.0.1"], "SRV": ["0 100 0 10-0-0-1.default.pod"]}),
        ("insecure", "fd00--1.default.pod", {"AAAA": ["fd00::1"], "SRV": ["0 100 0 fd00--1.default.pod"]}),
        ("insecure", "--ffff-102-304.default.pod", {"A": ["1.2.3.4"], "SRV": ["0 100 0 --ffff-102-304.default.pod"]}),
        ("insecure", "10-0-0-01.default.pod", None),
        ("insecure", "10-0-0-256.default.pod", None),
        ("insecure", "web.default.pod", None),
        ("insecure", "10-0-0-1.missing.pod", None),
        ("insecure", "default.pod", {}),
        ("verified", "10-244-1-20.default.pod", {"A": ["10.244.1.20"], "SRV": ["0 100 0 10-244-1-20.default.pod"]}),
        ("verified", "fd00-1--20.default.pod", {"AAAA": ["fd00:1::20"], "SRV": ["0 100 0 fd00-1--20.default.pod"]}),
        ("verified", "fd00-1-0--20.default.pod", None),
        ("verified", "10-244-1-21.default.pod", None),
        ("verified", "10-244-1-22.default.pod", None),
        ("verified", "10-0-0-1.default.pod", None),
    ],
)
def test_pods(mode: str, name: str, expected: dict[str, list[str]] | None) -> None:
    assert found(table_of(pods=mode), name) == expected


def test_ignore_empty_service_spares_headless_and_external_names() -> None:
    table = table_of(naming=Naming(ignore_empty_service=True))
    assert found(table, "dual.default.svc") is None
    assert found(table, "web.default.svc") is not None
    assert found(table, "bare.default.svc") is not None
    assert found(table, "alias.default.svc") is not None
    assert [r.data for r in table.reverse("10.96.0.6")] == ["dual.default.svc"]


def test_endpoint_pod_names() -> None:
    item = endpoints(
        "n",
        "bare",
        at("10.244.7.1", targetRef={"kind": "Pod", "name": "p-1"}),
        at("10.244.7.2", targetRef={"name": "x" * 64}),
    )
    table = table_of(item, naming=Naming(endpoint_pod_names=True))
    assert found(table, "p-1.bare.default.svc") == {"A": ["10.244.7.1"]}
    assert found(table, "10-244-7-2.bare.default.svc") == {"A": ["10.244.7.2"]}


def test_every_record_names_its_object() -> None:
    records = list(table_of(pods="verified").records())
    assert {r.origin.kind for r in records} == {"Service", "EndpointSlice", "Pod"}
    assert all(r.origin.name and r.origin.resource_version == "7" for r in records)
    by_owner = {(r.owner, r.rdtype): str(r.origin) for r in records}
    assert by_owner["web.default.svc", "A"] == "Service default/web@7"
    assert by_owner["db-0.heads.default.svc", "A"] == "EndpointSlice default/heads-1@7"
    assert by_owner["5.0.96.10.in-addr.arpa", "PTR"] == "Service default/web@7"


def change(new: Any = None, old: Any = None, committed: float = 0.0) -> Change:
    obj = new or old
    return Change(type(obj).__name__, obj.key, old, new, committed)  # type: ignore[arg-type]


def test_update_says_whether_an_answer_changed_and_dates_it() -> None:
    table = table_of()
    version = table.version
    web = service("web", "10.96.0.5", ports=[HTTP])
    assert table.update(change(web, web, 100.0)) is False
    assert (table.version, table.modified) == (version, 0.0)
    assert table.update(change(service("web", "10.96.0.5", ports=[DNS_UDP]), web, 101.0)) is True
    assert (table.version, table.modified) == (version + 1, 101.0)
    records = table.find(["web", "default", "svc"])
    assert records is not None and records.answers["A"][0].origin.committed == 101.0


def test_a_service_follows_its_slices_and_keeps_names_of_made_up_queries_out() -> None:
    table = table_of()
    old = endpoints("bare-1", "bare", at("10.244.1.10", "10.244.1.11"))
    assert table.update(change(endpoints("bare-1", "bare", at("10.244.1.99")), old))
    assert found(table, "bare.default.svc") == {"A": ["10.244.1.99"]}
    assert table.reverse("10.244.1.10") == ()
    assert found(table, "made-up.bare.default.svc") is None


NAMES = st.sampled_from(["a", "b"])
SPACES = st.sampled_from(["default", "other"])
CLUSTER_IPS = st.sampled_from([(), ("None",), ("10.96.0.1",), ("10.96.0.2", "fd00::2"), ("10.96.0.1", "fd00::1")])
PORTS = st.sampled_from([None, [HTTP], [DNS_UDP, DNS_TCP], [{"port": 1}], [{"name": "nil"}]])
ADDRESSES = st.sampled_from(["10.244.0.1", "10.244.0.2", "fd00:1::", "10.96.0.1", "fqdn.example"])
ENDPOINT = st.builds(
    lambda a, h, r: at(*a, hostname=h, conditions={"ready": r}),
    st.lists(ADDRESSES, min_size=1, max_size=2),
    st.sampled_from([None, "h"]),
    st.sampled_from([None, True, False]),
)


@st.composite
def objects(draw: st.DrawFn) -> Any:
    kind, name, space = draw(st.sampled_from("NSSEEEP")), draw(NAMES), draw(SPACES)
    if kind == "N":
        return namespace(space)
    if kind == "S":
        external = {"type": "ExternalName", "externalName": "x.example"} if draw(st.booleans()) else {}
        return service(name, *draw(CLUSTER_IPS), ports=draw(PORTS), ns=space, **external)
    if kind == "E":
        return endpoints(
            f"slice-{draw(NAMES)}",
            draw(st.sampled_from(["a", "b", None])),
            *draw(st.lists(ENDPOINT, max_size=3)),
            ports=draw(PORTS),
            ns=space,
        )
    return pod(name, draw(ADDRESSES), phase=draw(st.sampled_from(["Running", "Failed"])), ns=space)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(objects(), st.booleans()), max_size=14),
    st.sampled_from(
        [
            DnsOptions(pods="verified"),
            DnsOptions(namespaces=frozenset({"other"}), pods="insecure"),
            DnsOptions(naming=Naming(endpoint_pod_names=True, ignore_empty_service=True)),
        ]
    ),
)
def test_update_agrees_with_a_full_compile(steps: list[tuple[Any, bool]], options: DnsOptions) -> None:
    snapshot, table = Snapshot(), compile_dnstable(Snapshot(), options)
    fields = {"Service": "services", "EndpointSlice": "slices", "Pod": "pods", "Namespace": "namespaces"}
    for obj, delete in steps:
        old = getattr(snapshot, fields[type(obj).__name__]).get(obj.key)
        step = change(None if delete else obj, old or (obj if delete else None))
        snapshot = apply_change(snapshot, step)
        before, version = list(table.records()), table.version
        table.update(step)
        after = list(table.records())
        assert table.version > version or [r[:3] for r in before] == [r[:3] for r in after]
        full = compile_dnstable(snapshot, options)
        assert table.content == full.content
        assert after == list(full.records())


def test_services_at_an_address() -> None:
    assert [key for key, _ in table_of().services_at("10.244.1.6")] == [ObjectKey("default", "heads")]
