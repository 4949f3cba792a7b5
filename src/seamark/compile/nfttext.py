"""The nft product as text: for ``nft -f`` where netlink is not the way, for goldens and for people.

``render_table`` is what an administrator may load by hand; ``render_explained`` says which Service an element is from.
"""

from __future__ import annotations

from seamark.compile.diff import Batch, Element, Mirror
from seamark.compile.nft import compile_elements
from seamark.compile.nftlayout import SETS, Layout, render_value
from seamark.compile.nftstructure import render_affinity_chain, render_structure


def render_table(mirror: Mirror) -> str:
    """The whole product as one file for ``nft -f``: replaces the table in one transaction (clients of affinity
    Services are forgotten; a full batch keeps them).
    """
    table = f"{mirror.layout.nft_family} {mirror.layout.table}"
    structure = render_structure(mirror.layout, mirror.node, mirror.affinities)
    elements = render_batch(mirror.layout, Batch(adds=mirror.full().adds))
    return f"add table {table}\ndelete table {table}\n{structure}{elements}"


def render_batch(layout: Layout, batch: Batch) -> str:
    """A batch as commands for ``nft -f``."""
    table = f"{layout.nft_family} {layout.table}"
    lines = [render_affinity_chain(layout, *chain) for chain in batch.chains]
    lines += [f"flush map {table} {name}\n" for name in SETS if batch.flush]
    for name, keys in batch.deletes.items():
        shown = ", ".join(render_value(layout, SETS[name].key, key) for key in keys)
        lines.append(f"delete element {table} {name} {{ {shown} }}\n")
    for name, items in batch.adds.items():
        shown = ", ".join(render_element(layout, name, key, data) for key, data in items)
        lines.append(f"add element {table} {name} {{ {shown} }}\n")
    return "".join(lines)


def render_explained(mirror: Mirror, *, everything: bool = False) -> str:
    """The elements port by port, each under the Service it came from; for people and goldens. ``everything`` adds
    the kinds every table has, so that structure and elements together are a whole file.
    """
    table = f"{mirror.layout.nft_family} {mirror.layout.table}"
    lines = []
    if everything:
        kinds = mirror.full().adds["kinds"]
        lines = [f"add element {table} kinds {{ {render_element(mirror.layout, 'kinds', k, d)} }}" for k, d in kinds]
    for key, placement in sorted(mirror.ports.items()):
        lines.append(f"# {key} from {placement.rules.origin}")
        elements = sorted(compile_elements(placement, mirror.node).items(), key=_by_set)
        lines += [f"add element {table} {n} {{ {render_element(mirror.layout, n, k, d)} }}" for (n, k), d in elements]
    return "".join(f"{line}\n" for line in lines)


def render_element(layout: Layout, name: str, key: bytes, data: bytes) -> str:
    shown = render_value(layout, SETS[name].key, key)
    return f"{shown} : {render_value(layout, SETS[name].data, data)}" if SETS[name].data else shown


def _by_set(item: tuple[Element, bytes]) -> tuple[int, bytes]:
    (name, key), _ = item
    return list(SETS).index(name), key
