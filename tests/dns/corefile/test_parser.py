"""Server blocks, directives, snippets, imports, and what a broken Corefile is told."""

from __future__ import annotations

import pytest

from seamark.dns.corefile.lexer import CorefileError
from seamark.dns.corefile.parser import Corefile, parse_corefile

FILES = {"a.conf": "errors\nlog\n", "b.conf": "cache 30 {\n  success 1\n}\n", "loop.conf": "import loop.conf\n"}


def read_imports(pattern: str, importing: str) -> list[tuple[str, str]]:
    if pattern == "denied.conf":
        raise PermissionError(13, "Permission denied")
    if pattern == "*.conf":
        return [(name, FILES[name]) for name in ("a.conf", "b.conf")]
    return [(pattern, FILES[pattern])] if pattern in FILES else []


def parse(text: str, **environment: str) -> Corefile:
    return parse_corefile(text, file="Corefile", environment=environment, read_imports=read_imports)


def shape(corefile: Corefile) -> list[tuple[list[str], list[list[object]]]]:
    """Keys, and each directive as name, arguments, lines."""
    return [
        (
            [key.text for key in block.keys],
            [
                [d.name.text, *(a.text for a in d.args), *([w.text for w in line.words] for line in d.lines)]
                for d in block.directives
            ],
        )
        for block in corefile.blocks
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", [], id="empty"),
        pytest.param(". {\n errors\n}\n", [(["."], [["errors"]])], id="one block"),
        pytest.param(".\nerrors\nlog . x\n", [(["."], [["errors"], ["log", ".", "x"]])], id="without braces"),
        pytest.param(".:53\n{\n errors\n}\n", [([".:53"], [["errors"]])], id="brace on the next line"),
        pytest.param("a, b c,\nd {\n}\n", [(["a", "b", "c", "d"], [])], id="keys"),
        pytest.param(". {}\n", None, id="empty braces in one word"),
        pytest.param(
            ". {\n health {\n  lameduck 5s\n }\n forward . 1.1.1.1 {\n  except a\n  max_fails 0\n }\n}\nb {\n}\n",
            [
                (
                    ["."],
                    [["health", ["lameduck", "5s"]], ["forward", ".", "1.1.1.1", ["except", "a"], ["max_fails", "0"]]],
                ),
                (["b"], []),
            ],
            id="properties",
        ),
        pytest.param(
            ". {\n forward . 1.1.1.1 { max_fails 0 }\n cache {\n  keepttl }\n log\n}\n",
            [(["."], [["forward", ".", "1.1.1.1", ["max_fails", "0"]], ["cache", ["keepttl"]], ["log"]])],
            id="a block that ends with its line",
        ),
        pytest.param(
            "(s) {\n errors\n log\n}\n. {\n import s\n whoami\n}\n",
            [(["."], [["errors"], ["log"], ["whoami"]])],
            id="snippet",
        ),
        pytest.param(". {\n import a.conf\n whoami\n}\n", [(["."], [["errors"], ["log"], ["whoami"]])], id="file"),
        pytest.param(
            ". {\n import *.conf\n}\n", [(["."], [["errors"], ["log"], ["cache", "30", ["success", "1"]]])], id="glob"
        ),
        pytest.param(". {\n cache {\n  import p\n }\n}\n", None, id="missing snippet in a block"),
        pytest.param(
            "(p) {\n success 1\n}\n. {\n cache {\n  import p\n }\n}\n",
            [(["."], [["cache", ["success", "1"]]])],
            id="in a block",
        ),
        pytest.param("{$Z}:{$P} {\n log {$Z}\n}\n", [(["x.test:53"], [["log", "x.test"]])], id="environment"),
    ],
)
def test_shapes(text: str, expected: list[object] | None) -> None:
    if expected is None:
        with pytest.raises(CorefileError):
            parse(text)
        return
    assert shape(parse(text, Z="x.test", P="53")) == expected


@pytest.mark.parametrize(
    ("text", "where", "word", "message"),
    [
        pytest.param(". { whoami }\n", (1, 12), "}", "line of its own", id="all on one line"),
        pytest.param(". {\n errors\n", (2, 8), "", "closing brace is missing", id="missing brace"),
        pytest.param(". {\n cache {\n  x\n", (3, 4), "", "closing brace is missing", id="missing inner brace"),
        pytest.param("}\n", (1, 1), "}", "without an opening one", id="stray brace"),
        pytest.param("{\n errors\n}\n", (1, 1), "{", "needs a zone", id="no keys"),
        pytest.param("a,\n", (1, 3), "", "has to follow the comma", id="comma at the end"),
        pytest.param("a, {\n}\n", (1, 4), "{", "has to follow the comma", id="comma before brace"),
        pytest.param(". {\n errors }\n", (2, 9), "}", "line of its own", id="end of a block behind a plugin"),
        pytest.param(". {\n {\n }\n}\n", (2, 2), "{", "plugin name is expected", id="brace for a plugin"),
        pytest.param(". {\n cache {\n  success {\n  }\n }\n}\n", (3, 11), "{", "takes no block", id="braces too deep"),
        pytest.param(". {\n import\n}\n", (2, 2), "import", "exactly one argument", id="import of nothing"),
        pytest.param(". {\n import a b\n}\n", (2, 2), "import", "and got 2", id="snippet arguments"),
        pytest.param(
            ". {\n import nosuch\n}\n", (2, 9), "nosuch", "no snippet and no file 'nosuch'", id="missing import"
        ),
        pytest.param(
            ". {\n import denied.conf\n}\n", (2, 9), "denied.conf", "Permission denied", id="unreadable import"
        ),
        pytest.param(". {\n import */*.c\n}\n", (2, 9), "*/*.c", "one wildcard only", id="two wildcards"),
        pytest.param("(s) {\n import s\n}\n. {\n import s\n}\n", (2, 9), "s", "imports itself", id="snippet in itself"),
        pytest.param(". {\n import loop.conf\n}\n", (1, 8), "loop.conf", "imports itself", id="file in itself"),
        pytest.param("(s) {\n}\n(s) {\n}\n", (3, 1), "(s)", "a second time", id="snippet twice"),
        pytest.param("(s)\n", (1, 1), "(s)", "needs a block", id="snippet without block"),
        pytest.param("(s) {\n x\n", (2, 3), "", "never closed", id="snippet without end"),
    ],
)
def test_what_a_broken_corefile_is_told(text: str, where: tuple[int, int], word: str, message: str) -> None:
    with pytest.raises(CorefileError) as caught:
        parse(text)
    error = caught.value
    assert (error.line, error.column) == where
    assert error.word == word
    assert message in error.message
    assert str(error).startswith(f"{error.file}:{error.line}:{error.column}: ")


def test_errors_in_an_imported_file_name_that_file() -> None:
    with pytest.raises(CorefileError, match=r"^b\.conf:1:1: "):
        from seamark.dns.server.instance import parse_server

        broken = dict(FILES)
        FILES["b.conf"] = "nonsense\n"
        try:
            parse_server(parse(". {\n import *.conf\n}\n"))
        finally:
            FILES.update(broken)


def test_an_empty_glob_is_a_warning() -> None:
    found = parse_corefile(". {\n import *.none\n}\n", file="C", environment={}, read_imports=lambda p, f: [])
    assert found.warnings == ("C:2:9: no files match the import '*.none'",)


def test_imports_are_part_of_what_was_read() -> None:
    assert [file for file, _ in parse(". {\n import *.conf\n}\n").files] == ["Corefile", "a.conf", "b.conf"]
