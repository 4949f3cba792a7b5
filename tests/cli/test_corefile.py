"""``seamark corefile``: what a server would say, the one form, what differs, and kube-dns's ConfigMap."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from seamark.cli.corefile import app
from seamark.cli.errors import UserError
from seamark.dns.corefile.format import format_corefile, render
from seamark.dns.corefile.lexer import CorefileError
from seamark.dns.corefile.parser import parse_corefile
from seamark.dns.order import ORDER
from seamark.dns.server.instance import parse_server

RUN = CliRunner()


def corefile(directory: Path, text: str, name: str = "Corefile") -> str:
    (directory / name).write_text(text)
    return str(directory / name)


def test_check_tells_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "more").write_text("b {\nwhoami\n}\n")
    found = RUN.invoke(app, ["check", corefile(tmp_path, "import more\na {\nerrors\ncache\n}\n")])
    assert found.exit_code == 0 and found.stdout.endswith("2 server blocks, 3 plugins\n")


@pytest.mark.parametrize(
    ("text", "where"),
    [("a {\ncache no\nwrong\n}\n", ":3:1: unknown plugin 'wrong'"), ("a {\ncache 0\n}\n", ":2:7: "), ("a {\n", "a {")],
)
def test_check_tells_the_first_fault(text: str, where: str, tmp_path: Path) -> None:
    found = RUN.invoke(app, ["check", corefile(tmp_path, text)])
    assert isinstance(found.exception, UserError)
    assert where in str(found.exception) or text == "a {\n"


def test_fmt_changes_white_space_alone(tmp_path: Path) -> None:
    ugly = "#  top\n.:53   {\n\n\n  errors # why\nforward . 1.1.1.1 {\nexcept a   c\n\n}\n\n}\n"
    neat = "#  top\n.:53 {\n\n    errors # why\n    forward . 1.1.1.1 {\n        except a c\n    }\n}\n"
    file = corefile(tmp_path, ugly)
    assert RUN.invoke(app, ["fmt", file]).stdout == neat
    assert RUN.invoke(app, ["fmt", "--check", file]).exit_code == 1
    assert RUN.invoke(app, ["fmt", "-w", file]).exit_code == 0
    assert Path(file).read_text() == neat
    assert RUN.invoke(app, ["fmt", "--check", file]).exit_code == 0


WORDS = st.sampled_from(
    ["errors", "log", '"a b"', "{", "}", "\n", "\n\n", "#x\n", "  ", "\t", "a.b:53", "30", '"x\ny"', '"']
)


@given(st.lists(WORDS, max_size=30).map(" ".join))
def test_formatting_keeps_the_tokens_and_is_stable(text: str) -> None:
    neat = format_corefile(text)
    assert format_corefile(neat) == neat
    try:
        before = parse_corefile(text, file="C", environment={})
    except CorefileError:
        return
    after = parse_corefile(neat, file="C", environment={})
    assert [[d.name.text for d in b.directives] for b in before.blocks] == [
        [d.name.text for d in b.directives] for b in after.blocks
    ]


def test_diff_compares_the_meaning(tmp_path: Path) -> None:
    one = corefile(tmp_path, "(s) {\nerrors\n}\na {\nimport s\ncache 30\n}\nb {\nwhoami\n}\n", "one")
    same = corefile(tmp_path, "b:53 {\n  whoami # x\n}\na. {\ncache 30\nerrors\n}\n", "same")
    other = corefile(tmp_path, "b {\nwhoami\n}\na {\ncache 60\nerrors\n}\n", "other")
    assert (RUN.invoke(app, ["diff", one, same]).exit_code, RUN.invoke(app, ["diff", one, same]).stdout) == (0, "")
    found = RUN.invoke(app, ["diff", one, other])
    assert found.exit_code == 1
    assert "-    cache 30" in found.stdout and "+    cache 60" in found.stdout
    assert "whoami" not in [line[1:].strip() for line in found.stdout.splitlines() if line[:1] in "+-"]


KUBEDNS = """
kind: ConfigMap
metadata: {name: kube-dns, namespace: kube-system}
data:
  stubDomains: |
    {"acme.local": ["1.2.3.4", "1.2.3.5:5353"], "six.local.": ["fd00::1"]}
  upstreamNameservers: |
    ["8.8.8.8", "8.8.4.4"]
  federations: |
    {"fed": "example.com"}
"""


def test_import_of_a_kubedns_configmap() -> None:
    found = RUN.invoke(app, ["import-kubedns", "-", "--cluster-domain", "c.test"], input=KUBEDNS)
    assert found.exit_code == 0
    assert "federations: fed" in found.stderr
    blocks = parse_corefile(found.stdout, file="C", environment={})
    parse_server(blocks)
    lines = render(blocks, ORDER)
    assert "    forward . 8.8.8.8 8.8.4.4" in lines and "    kubernetes c.test in-addr.arpa ip6.arpa {" in lines
    assert "dns://acme.local.:53 {" in lines and "    forward . 1.2.3.4 1.2.3.5:5353" in lines
    assert "dns://six.local.:53 {" in lines
    plain = RUN.invoke(app, ["import-kubedns", "-"], input="kind: ConfigMap\n")
    assert "forward . /etc/resolv.conf" in plain.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: Pod", "'Pod' is not ConfigMap"),
        ("kind: ConfigMap\ndata: {stubDomains: '['}", "stubDomains: not JSON"),
        ("kind: ConfigMap\ndata: {stubDomains: '[]'}", "has to be an object"),
        ("kind: ConfigMap\ndata: {upstreamNameservers: '[\"ns.x\"]'}", "not an address"),
        ("kind: ConfigMap\ndata: {upstreamNameservers: '[1,2,3,4]'}", "4 servers"),
        ("[", "not YAML"),
    ],
)
def test_what_cannot_be_imported(text: str, message: str) -> None:
    found = RUN.invoke(app, ["import-kubedns", "-"], input=text)
    assert isinstance(found.exception, UserError) and message in str(found.exception)
