"""Links through a proxy: what is rewritten, and that nothing else is touched."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.api.proxying.links import Place, rewrite_body, rewrite_html, rewrite_url

PLACE = Place("/api/v1/namespaces/d/pods/p/proxy", frozenset({"10.0.0.5:80", "localhost:8001"}))
AT = PLACE.prefix


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/", f"{AT}/"),
        ("/x/y?q=1#f", f"{AT}/x/y?q=1#f"),
        ("/x/", f"{AT}/x/"),
        ("http://10.0.0.5:80/x", f"{AT}/x"),
        ("http://localhost:8001/x", f"{AT}/x"),
        (f"{AT}/x", f"{AT}/x"),
        ("//10.0.0.5:80/x", f"{AT}/x"),
        ("x/y", "x/y"),
        ("../y", "../y"),
        ("#f", "#f"),
        ("", ""),
        ("http://example.com/x", "http://example.com/x"),
        ("mailto:a@b", "mailto:a@b"),
        ("http://[broken/x", "http://[broken/x"),
    ],
)
def test_urls(url: str, expected: str) -> None:
    assert rewrite_url(url, PLACE) == expected


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ('<a href="/x">', f'<a href="{AT}/x">'),
        ("<A\nclass=b HREF='/x'>", f'<A\nclass=b HREF="{AT}/x">'),
        ("<a href=/x>", f'<a href="{AT}/x">'),
        ('<a href="/x?a=1&amp;b=2">', f'<a href="{AT}/x?a=1&amp;b=2">'),
        (
            '<img src="/i" alt="/not-a-link"><form action="/f">',
            f'<img src="{AT}/i" alt="/not-a-link"><form action="{AT}/f">',
        ),
        ('<p href="/x">', '<p href="/x">'),
        ('<a data-href="/x">', '<a data-href="/x">'),
        ("<script>var a = '<a href=\"/x\">'</script>", "<script>var a = '<a href=\"/x\">'</script>"),
        ('<!-- <a href="/x"> --><br/>', '<!-- <a href="/x"> --><br/>'),
        ('<a href="/x" <a href="/y">', None),
        ("<a href='unclosed", "<a href='unclosed"),
    ],
)
def test_pages(page: str, expected: str | None) -> None:
    rewritten = rewrite_html(page, PLACE)
    assert expected is None or rewritten == expected


@given(st.text(max_size=200))
def test_a_page_without_absolute_links_comes_through_as_it_is(text: str) -> None:
    page = text.replace("/", "|")
    assert rewrite_html(page, PLACE) == page


@pytest.mark.parametrize(("encoding", "wbits"), [("gzip", 31), ("deflate", 15)])
def test_compressed_bodies(encoding: str, wbits: int) -> None:
    packer = zlib.compressobj(wbits=wbits)
    packed = packer.compress(b'<a href="/x">') + packer.flush()
    assert zlib.decompress(rewrite_body(packed, encoding, PLACE), wbits) == f'<a href="{AT}/x">'.encode()
    assert rewrite_body(b"no " + packed, encoding, PLACE) == b"no " + packed
    assert rewrite_body(packed, "br", PLACE) == packed
