"""The nft product: elements mean what was decided, increments agree with the whole, clients of affinity stay."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seamark.compile import diff, nftlayout
from seamark.compile.diff import SEEDED, Batch, Mirror, compile_nft, seeded_elements
from seamark.compile.endpoints import BackendEndpoint
from seamark.compile.nft import Allocator, CapacityError, Serials
from seamark.compile.nftlayout import Layout, pool_size
from seamark.compile.nftstructure import render_affinity_chain
from seamark.compile.nfttext import render_batch, render_explained, render_table
from seamark.compile.ruleset import NodeConfig, PortKey, PortRules, Ruleset, Target, compile_ruleset
from seamark.compile.tracer import Packet, trace
from seamark.model.meta import UNKNOWN
from seamark.model.snapshot import Snapshot
from seamark.testing.fakenft import FakeNft, FakeNftError

NODE = NodeConfig("node1", ("172.30.0.11",), ("10.244.0.0/16",), ("10.96.0.0/12",))
SOURCES = ("10.244.0.1", "10.244.0.2", "172.30.0.11", "192.0.2.50")


def backend(number: int) -> BackendEndpoint:
    node = "node1" if number % 2 else "node2"
    return BackendEndpoint(f"10.244.0.{number}", 8080, True, True, False, node, "", UNKNOWN)


def rules(name: str = "web", *numbers: int, **fields: Any) -> PortRules:
    target = Target("balance", tuple(map(backend, numbers))) if numbers else Target("refuse")
    known: dict[str, Any] = {
        "key": PortKey("default", name, "http", "TCP"),
        "port": 80,
        "cluster_ips": ("10.96.0.9",),
        "internal": target,
        "external": target,
        "external_short_circuit": None,
    }
    return PortRules(**{**known, **fields})


NUMBERS = st.lists(st.integers(1, 9), max_size=5, unique=True).map(sorted)


@st.composite
def targets(draw: st.DrawFn, scope: Any) -> Target:
    numbers = draw(NUMBERS)
    if not numbers:
        return Target(draw(st.sampled_from(["refuse", "drop"])))
    return Target("balance", tuple(map(backend, numbers)), scope)


@st.composite
def port_rules(draw: st.DrawFn, place: int) -> PortRules:
    """Services 0..3 on two contested external addresses and node ports; any mixture of policies."""
    cluster, local = draw(targets("cluster")), draw(targets("local"))
    external_local = draw(st.booleans())
    vips = draw(st.sampled_from([(), ("198.51.100.1",), ("198.51.100.2",)]))
    return PortRules(
        key=PortKey("default", f"s{place}", "http", draw(st.sampled_from(["TCP", "UDP"]))),
        port=80,
        cluster_ips=(f"10.96.0.{place + 1}",),
        internal=draw(st.sampled_from([cluster, local])),
        external=local if external_local else cluster,
        external_short_circuit=cluster if external_local else None,
        node_port=draw(st.sampled_from([0, 30080, 30081])),
        external_ips=draw(st.sampled_from([(), ("192.0.2.10",), ("192.0.2.10", "192.0.2.11")])),
        load_balancer_ips=vips,
        source_ranges=draw(st.sampled_from([(), ("10.244.0.0/16", "10.244.0.0/24"), ("192.0.2.50/32",)]))
        if vips
        else (),
        affinity_seconds=draw(st.sampled_from([0, 0, 5, 10800])),
    )


@st.composite
def change(draw: st.DrawFn) -> dict[PortKey, PortRules | None]:
    places = draw(st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True))
    found: dict[PortKey, PortRules | None] = {}
    for place in places:
        made = draw(port_rules(place))
        found[made.key] = draw(st.sampled_from([made, made, made, None]))
    return found


def packets() -> list[Packet]:
    destinations = [(f"10.96.0.{n}", 80) for n in range(1, 6)] + [("10.96.0.1", 81), ("172.30.0.11", 30080)]
    destinations += [("172.30.0.11", 30081), ("192.0.2.10", 80), ("192.0.2.11", 80), ("203.0.113.1", 80)]
    destinations += [("198.51.100.1", 80), ("198.51.100.2", 80)]
    return [Packet(s, d, p, proto) for s in SOURCES for d, p in destinations for proto in ("TCP", "UDP")]  # type: ignore[arg-type]


PACKETS = packets()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(change(), st.booleans()), min_size=1, max_size=6))
def test_increments_agree_with_the_whole_and_with_the_decisions(
    changes: list[tuple[dict[PortKey, PortRules | None], bool]],
) -> None:
    mirror, kernel = Mirror(NODE), FakeNft(NODE)
    kernel.apply(mirror.full())
    ports: dict[PortKey, PortRules] = {}
    for step, sweep in changes:
        known = {key: r for key, r in step.items() if r is not None or key in ports}
        kernel.apply(mirror.update(known))
        if sweep:
            kernel.apply(mirror.sweep())
        ports = {k: v for k, v in {**ports, **known}.items() if v is not None}
    ruleset = Ruleset(NODE, ports)
    for packet in PACKETS:
        assert kernel.trace(packet) == trace(ruleset, packet), packet
    kernel.apply(mirror.sweep())
    anew = FakeNft(NODE)
    anew.apply(mirror.full())
    assert kernel.sets == anew.sets
    fresh = FakeNft(NODE)
    fresh.apply(compile_nft(ruleset).full())
    for packet in PACKETS:
        wanted = trace(ruleset, packet)
        assert kernel.trace(packet) == wanted, packet
        assert fresh.trace(packet) == wanted, packet


@settings(max_examples=40, deadline=None)
@given(st.lists(NUMBERS.filter(bool), min_size=2, max_size=6), st.sampled_from([5, 10800]))
def test_slots_of_staying_endpoints_never_move(steps: list[list[int]], seconds: int) -> None:
    mirror, kernel = Mirror(NODE), FakeNft(NODE)
    kernel.apply(mirror.full())
    for before, after in zip([[], *steps], steps, strict=False):
        slots = dict(kernel.sets["slots"])
        kernel.apply(mirror.update({rules("web").key: rules("web", *after, affinity_seconds=seconds)}))
        for place in {nftlayout.address_bytes(backend(n).ip) for n in set(before) & set(after)}:
            held = {key for key, data in slots.items() if data.startswith(place)}
            assert held == {key for key, data in kernel.sets["slots"].items() if data.startswith(place)}


def applied(mirror: Mirror, kernel: FakeNft, *changes: PortRules) -> Batch:
    batch = mirror.update({r.key: r for r in changes})
    kernel.apply(batch)
    return batch


@pytest.fixture
def mirror() -> Mirror:
    return Mirror(NODE)


@pytest.fixture
def kernel(mirror: Mirror) -> FakeNft:
    made = FakeNft(NODE)
    made.apply(mirror.full())
    return made


def test_one_endpoint_replaced_is_one_element_replaced(mirror: Mirror, kernel: FakeNft) -> None:
    applied(mirror, kernel, rules("web", 2, 4, 6))
    batch = applied(mirror, kernel, rules("web", 2, 6, 8))
    assert {name: len(keys) for name, keys in batch.deletes.items()} == {"eps": 1}
    assert {name: len(items) for name, items in batch.adds.items()} == {"eps": 1}


def test_a_pool_that_was_left_lingers_until_swept(mirror: Mirror, kernel: FakeNft) -> None:
    """A packet that read the number of the old pool before the commit finds its endpoint after it."""
    applied(mirror, kernel, rules("web", 2, 4, 6))
    before = dict(kernel.sets["eps"])
    batch = applied(mirror, kernel, rules("web", 2, 4))
    assert "eps" not in batch.deletes
    assert before.items() <= kernel.sets["eps"].items()
    kernel.apply(mirror.sweep())
    assert len(kernel.sets["eps"]) == 2
    assert mirror.sweep().is_empty


def test_an_endpoint_that_comes_back_is_another_to_its_clients(mirror: Mirror, kernel: FakeNft) -> None:
    """Their entries name slots that are not there, and are forgotten with the next connection: also over a restart."""
    web = rules("web", 2, 4, affinity_seconds=5)
    applied(mirror, kernel, web)
    before = dict(kernel.sets["slots"])
    applied(mirror, kernel, rules("web", 4, affinity_seconds=5))
    staying = dict(kernel.sets["slots"])
    later = Mirror(NODE)
    later.seed(left(kernel, web))
    applied(mirror, kernel, web)
    assert staying.items() < kernel.sets["slots"].items()
    assert len(before.items() & kernel.sets["slots"].items()) == 1
    assert not (before.keys() - staying.keys()) & kernel.sets["slots"].keys()
    later.update({web.key: web})
    kernel.apply(later.full())
    assert not (before.keys() - staying.keys()) & kernel.sets["slots"].keys()


def left(kernel: FakeNft, *now: PortRules) -> dict[str, dict[bytes, bytes]]:
    """What a new run reads of the table before it loads these ports."""
    found = {name: kernel.sets[name] for name in SEEDED}
    for name, key in (element for rules in now for element in seeded_elements(rules)):
        if key in kernel.sets[name]:
            found.setdefault(name, {})[key] = kernel.sets[name][key]
    return found


@pytest.mark.parametrize("piece", [1, 500])
def test_load_is_the_whole_product(monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    """Also where a later piece wins a frontend, and where an earlier run left pools for one of its ports."""
    monkeypatch.setattr(diff, "PIECE", piece)
    other = {"cluster_ips": ("10.96.0.10",), "affinity_seconds": 5}
    given = [rules("c", 1, 2, external_ips=("192.0.2.7",)), rules("a", 3, **{**other, "external_ips": ("192.0.2.7",)})]
    mirror, kernel, anew = Mirror(NODE), FakeNft(NODE), FakeNft(NODE)
    earlier = FakeNft(NODE)
    earlier.apply(Mirror(NODE).update({r.key: r for r in (rules("gone", 5, affinity_seconds=5), given[1])}))
    mirror.seed(left(earlier, *given))
    for batch in mirror.load({r.key: r for r in given}):
        kernel.apply(batch)
    anew.apply(mirror.full())
    kernel.apply(mirror.sweep())
    assert kernel.sets == anew.sets
    assert kernel.chains == anew.chains
    assert kernel.sets["slots"].items() <= earlier.sets["slots"].items(), "the client of a is not where it was"
    serials, before = {nftlayout.class_numbers(key)[1] for key in earlier.sets["slots"]}, set(kernel.sets["slots"])
    applied(mirror, kernel, rules("new", 8, cluster_ips=("10.96.0.11",), affinity_seconds=5))
    (fresh,) = kernel.sets["slots"].keys() - before
    assert nftlayout.class_numbers(fresh)[1] not in serials, "the serial of a Service that went was handed out"


def test_nothing_new_is_an_empty_batch(mirror: Mirror, kernel: FakeNft) -> None:
    applied(mirror, kernel, rules("web", 2, 4))
    assert applied(mirror, kernel, rules("web", 2, 4)).is_empty


def test_affinity_survives_size_and_timeout(mirror: Mirror, kernel: FakeNft) -> None:
    applied(mirror, kernel, rules("web", 2, 4, affinity_seconds=5))
    before = dict(kernel.sets["slots"])
    batch = applied(mirror, kernel, rules("web", 2, 4, 6, affinity_seconds=7))
    assert batch.chains == ((3, 7),)
    assert before.items() <= kernel.sets["slots"].items()


def test_shared_elements_go_with_their_last_owner(mirror: Mirror, kernel: FakeNft) -> None:
    two = [rules("a", 1), rules("b", 1, cluster_ips=("10.96.0.10",))]
    applied(mirror, kernel, *two)
    assert len(kernel.sets["hairpin"]) == 1
    kernel.apply(mirror.update({two[0].key: None}))
    assert len(kernel.sets["hairpin"]) == 1
    kernel.apply(mirror.update({two[1].key: None}))
    assert kernel.sets["hairpin"] == kernel.sets["vips"] == {}


def test_shared_element_that_leaves_comes_and_leaves_within_one_batch(mirror: Mirror, kernel: FakeNft) -> None:
    """The order in which ports are worked through must not matter."""
    applied(mirror, kernel, rules("b", 1))
    swapped = {rules("a").key: rules("a", 1, cluster_ips=("10.96.0.10",)), rules("b").key: None}
    for _ in range(2):
        kernel.apply(mirror.update(swapped))
        swapped = {rules("b").key: rules("b", 1), rules("a").key: None}
    assert len(kernel.sets["hairpin"]) == 1


def test_many_endpoints_share_a_chain_and_none_gets_more_than_an_eighth_too_much(
    mirror: Mirror, kernel: FakeNft
) -> None:
    many = tuple(backend(1)._replace(ip=f"10.244.{i // 250}.{i % 250 + 1}") for i in range(300))
    applied(mirror, kernel, rules("web", internal=Target("balance", many)))
    places = list(kernel.sets["eps"].values())
    counts = [places.count(place) for place in set(places)]
    assert len(counts) == 300
    assert max(counts) <= len(places) / 300 * 1.125


@pytest.mark.parametrize(
    ("endpoints", "size"),
    [(1, 1), (64, 64), (65, 1024), (64 * 2 + 1, 2048), (8192, 65536), (20000, 65536)],
)
def test_pool_sizes(endpoints: int, size: int) -> None:
    assert pool_size(endpoints) == size
    assert size in nftlayout.SIZE_KINDS


def test_restart_keeps_serials_and_slots(mirror: Mirror, kernel: FakeNft) -> None:
    given = [
        rules("web", 2, 4, 6, affinity_seconds=5),
        rules("other", 2, cluster_ips=("10.96.0.10",), affinity_seconds=5),
    ]
    applied(mirror, kernel, given[1])
    applied(mirror, kernel, given[0])
    applied(mirror, kernel, rules("web", 4, 6, affinity_seconds=5))
    before = dict(kernel.sets["slots"])
    second = Mirror(NODE)
    now = (rules("web", 4, 6, affinity_seconds=5), given[1])
    second.seed(left(kernel, *now))
    second.update({r.key: r for r in now})
    kernel.apply(second.full())
    assert kernel.sets["slots"] == before
    fresh = rules("new", 8, cluster_ips=("10.96.0.11",), affinity_seconds=5)
    applied(second, kernel, fresh)
    assert before.items() < kernel.sets["slots"].items(), "a serial in use was handed out again"


def test_the_fake_refuses_what_the_kernel_refuses(kernel: FakeNft) -> None:
    key = nftlayout.class_bytes(1, 1)
    with pytest.raises(FakeNftError, match=r"delete slots 1:1: no such element"):
        kernel.apply(Batch(deletes={"slots": [key]}))
    place = nftlayout.address_bytes("10.0.0.1") + nftlayout.port_bytes(80)
    other = nftlayout.address_bytes("10.0.0.2") + nftlayout.port_bytes(80)
    with pytest.raises(FakeNftError, match="exists with other data"):
        kernel.apply(Batch(adds={"slots": [(key, place), (key, other)]}))
    assert kernel.sets["slots"] == {}


def test_serials_run_out_into_another_kind_and_affinity_says_so() -> None:
    allocator = Allocator()
    taken = {allocator.take(3) for _ in range(70000)}
    assert len(taken) == 70000
    assert {allocator.kinds[kind] for kind, _ in taken} == {"n3"}
    allocator.affinity = Serials(fresh=0xFFFF)
    assert allocator.take_affinity() == 0xFFFF
    with pytest.raises(CapacityError, match="65535 service ports with sessionAffinity"):
        allocator.take_affinity()


def test_freed_serials_come_back_last() -> None:
    serials = Serials(fresh=0xFFFE)
    first = serials.take()
    assert first is not None
    serials.give(first)
    assert [serials.take(), serials.take(), serials.take()] == [0xFFFF, first, None]


def test_text_of_a_batch() -> None:
    mirror = Mirror(NODE)
    mirror.update({rules().key: rules("web", 1, 2, affinity_seconds=5)})
    batch = mirror.update({rules().key: rules("web", 2, affinity_seconds=5)})
    text = render_batch(Layout(), batch)
    assert text.startswith(render_affinity_chain(Layout(), 1, 5))
    assert "delete element ip seamark hairpin { 10.244.0.1 . 10.244.0.1 . tcp . 8080 }\n" in text
    assert "add element ip seamark cip { 10.96.0.9 . tcp . 80 : 2001:1 }\n" in text


@pytest.mark.net
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
def test_nft_takes_the_whole_product_and_lists_it_back(objects: Any, tmp_path: Any, family: Any) -> None:
    node = NodeConfig(
        "node1", ("172.30.0.11", "fd00::b"), ("10.244.0.0/16", "fd01::/48"), ("10.96.0.0/12", "fd02::/112")
    )
    ip, end, vip = (
        ("10.96.0.9", "10.244.0.2", "198.51.100.7") if family == "IPv4" else ("fd02::9", "fd01::2", "fd03::7")
    )
    service = objects.service(
        "web",
        ip,
        {"name": "http", "port": 80, "nodePort": 30080},
        type="LoadBalancer",
        externalTrafficPolicy="Local",
        sessionAffinity="ClientIP",
        ingress=[{"ip": vip}],
        loadBalancerSourceRanges=["192.0.2.0/24", "fd09::/32"],
    )
    given = Snapshot.of([service, objects.slice_(end, family=family)])
    mirror = compile_nft(compile_ruleset(given, node, family=family), Layout(family))
    assert all(text in render_explained(mirror) for text in ("lbsrc", "slots", "npl", "hairpin"))
    file, back = tmp_path / "a.nft", tmp_path / "b.nft"
    file.write_text(render_table(mirror))
    script = f"nft -f {file} && nft list ruleset > {back} && nft flush ruleset && nft -f {back} && nft list ruleset"
    done = subprocess.run(["unshare", "-n", "sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == back.read_text()
