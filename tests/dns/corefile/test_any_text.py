"""Whatever stands in a Corefile: it is taken, or refused at a word of it; formatting changes no meaning."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from seamark.dns.corefile.format import format_corefile, render
from seamark.dns.corefile.lexer import CorefileError
from seamark.dns.corefile.parser import Corefile, parse_corefile
from seamark.dns.order import ORDER
from seamark.dns.server.instance import parse_server

PLAIN = """. .:53 a.test 10.0.0.0/15 tls://. dns://b.test:1053 (snip) import snip { } {$HOME} {%X%} # \\ , a, errors log
forward 192.0.2.1 cache 30 kubernetes cluster.local pods insecure hosts fallthrough rewrite name regex ( ) [ template IN
ANY acl block net * \u00e9 \ufeff"""
WORDS = [*PLAIN.split(), '"', '"quoted word"', '"two\nlines"', "# a comment", "\x00"]
GAPS = ["\n", "\n", " ", "\t", "\r\n", "\n    ", ""]
TEXT = st.one_of(
    st.text(max_size=200),
    st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(GAPS)), max_size=40).map(
        lambda pairs: "".join(word + gap for word, gap in pairs)
    ),
)
BLOCK = st.lists(st.sampled_from(["errors", "log", "whoami", "cache 30", "bufsize 1232", "# why\nany"]), unique=True)
SOUND = st.lists(BLOCK, min_size=1, max_size=3).map(
    lambda blocks: "".join(f"z{n}.test {{\n" + "\n".join(lines) + "\n}\n" for n, lines in enumerate(blocks))
)


def parse(text: str) -> Corefile:
    return parse_corefile(text, file="C", environment={"HOME": "/root"}, read_imports=lambda pattern, importing: [])


@settings(max_examples=250, deadline=None)
@given(TEXT)
def test_it_is_taken_or_refused_at_a_place_in_it(text: str) -> None:
    try:
        parse_server(parse(text))
    except CorefileError as error:
        lines = text.removeprefix("\ufeff").replace("\r", "").split("\n")
        assert error.file == "C"
        assert 1 <= error.line <= len(lines)
        assert error.column >= 1
        assert error.message


@settings(max_examples=100, deadline=None)
@given(st.one_of(SOUND, TEXT))
@example("\ufeff\ufeff")
@example("a\rb")
@example("\n\ufeffa.test {\n}\n")
@example("a.test {\ncache { keepttl }\nforward . 1.1.1.1 {\nmax_fails 0 } log\n}\nb.test {\nlog\n}\n")
def test_formatting_is_idempotent_and_changes_no_meaning(text: str) -> None:
    try:
        before = parse(text)
    except CorefileError:
        return
    formatted = format_corefile(text)
    assert format_corefile(formatted) == formatted
    try:
        shown = render(before, ORDER)
    except CorefileError:
        return  # a key that stands for no zone
    assert render(parse(formatted), ORDER) == shown
