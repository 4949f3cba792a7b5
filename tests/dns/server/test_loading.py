"""Files on disk: imports, the fingerprint, the default Corefile, own addresses."""

from __future__ import annotations

from pathlib import Path

import pytest

from seamark.dns.corefile.lexer import CorefileError
from seamark.dns.server.addresses import own_addresses
from seamark.dns.server.loading import fingerprint, load_corefile


def load(file: Path | None) -> object:
    return load_corefile(file, port=53, environment={"ZONE": "x.test"})


def test_imports_are_relative_to_the_importing_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.conf").write_text("log\n")
    (tmp_path / "sub" / "a.conf").write_text("import b.conf\nerrors\n")
    file = tmp_path / "Corefile"
    file.write_text(f"{{$ZONE}} {{\nimport sub/a.conf\nimport {tmp_path}/sub/b.conf\n}}\n")
    found = load_corefile(file, port=53, environment={"ZONE": "x.test"})
    assert found.blocks[0].keys[0].text == "x.test"
    assert [d.name.text for d in found.blocks[0].directives] == ["log", "errors", "log"]


def test_a_glob_takes_files_in_order_and_no_folders(tmp_path: Path) -> None:
    for name in ("b.server", "a.server"):
        (tmp_path / name).write_text(f"{name[0]}.test {{\nwhoami\n}}\n")
    (tmp_path / "c.server").mkdir()
    (tmp_path / "Corefile").write_text("import *.server\n")
    found = load_corefile(tmp_path / "Corefile", port=53, environment={})
    assert [block.keys[0].text for block in found.blocks] == ["a.test", "b.test"]


def test_the_fingerprint_covers_imports(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("log\n")
    file = tmp_path / "Corefile"
    file.write_text(". {\nimport a.conf\n}\n")
    before = fingerprint(load_corefile(file, port=53, environment={}))
    assert len(before) == 128
    assert fingerprint(load_corefile(file, port=53, environment={})) == before
    (tmp_path / "a.conf").write_text("log # changed\n")
    assert fingerprint(load_corefile(file, port=53, environment={})) != before


def test_a_missing_file_and_a_missing_import(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nosuch")
    (tmp_path / "Corefile").write_text(". {\nimport nosuch.conf\n}\n")
    with pytest.raises(CorefileError, match="no snippet and no file"):
        load(tmp_path / "Corefile")


def test_without_a_file_it_is_whoami_and_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = load_corefile(None, port=1053, environment={})
    assert found.blocks[0].keys[0].text == ".:1053"
    assert [d.name.text for d in found.blocks[0].directives] == ["whoami", "log"]


FIB = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 10.244.1.7
        /32 host LOCAL
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 10.244.1.255
        /32 link BROADCAST
Local:
     |-- 10.244.1.7
        /32 host LOCAL
"""
INET6 = """fd000000000000000000000000000002 02 40 00 80     eth0
00000000000000000000000000000001 01 80 10 80       lo
fe8000000000000000fc00fffe000001 02 40 20 80     eth0
"""


def test_own_addresses(tmp_path: Path) -> None:
    assert own_addresses(tmp_path) == ()
    (tmp_path / "fib_trie").write_text(FIB)
    (tmp_path / "if_inet6").write_text(INET6)
    assert own_addresses(tmp_path) == ("10.244.1.7", "fd00::2")
