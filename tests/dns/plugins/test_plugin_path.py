"""Plugins of one's own: loaded while the server runs, and unable to break more than their own answer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dns.message
import pytest

from seamark.dns.plugins.plugin_path.loading import PluginFileError, load_plugin
from seamark.testing.dnsplugin import BEHIND, ScriptedCluster, ask_plugin

GUIDE = Path(__file__).parents[3] / "docs" / "dns-plugins.md"
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
TEMPLATE, EXAMPLE, TEST = BLOCKS
POD = "10.244.1.7"


def plugin(body: str, name: str = "mine") -> str:
    return (
        "import sys, asyncio\nfrom seamark.dns.reply import addressed\n"
        f"class Mine:\n    name = '{name}'\n    async def serve(self, query, following):\n        {body}\n"
    )


def corefile(directory: Path, more: str = "") -> str:
    inner = "kubernetes cluster.local {\npods verified\n}\nhosts /nonexistent {\n192.0.2.1 api.example\n}\n"
    return f". {{\nerrors\nprometheus :3\nplugin_path {directory} {{\ntimeout 2s\n}}\n{inner}{more}cache 30\n}}\n"


@pytest.fixture
def registry(fake_api: Any) -> Any:
    fake_api.put("namespaces", {"metadata": {"name": "default"}})
    status = {"phase": "Running", "podIP": POD, "podIPs": [{"ip": POD}]}
    meta = {"name": "till", "namespace": "default", "labels": {"tier": "payments"}}
    fake_api.put("pods", {"metadata": meta, "status": status})
    return fake_api


async def ask(server: Any, name: str = "api.example.", client: str = "192.0.2.7") -> str:
    found = await server.ask(dns.message.make_query(name, "A"), client=client)
    return found.answer[0][0].to_text() if found.answer else str(found.rcode().name)


async def test_the_example_of_the_guide_splits_the_horizon(serve: Any, registry: Any, tmp_path: Path) -> None:
    (tmp_path / "split_horizon.py").write_text(EXAMPLE)
    server = await serve(corefile(tmp_path))
    for _ in range(2):  # the second time from the cache, which must not mix them up
        assert await ask(server) == "192.0.2.1"
        assert await ask(server, client=POD) == "10.20.0.7"


async def test_the_test_of_the_guide_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "split_horizon.py").write_text(EXAMPLE)
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    exec(compile(TEST, str(GUIDE), "exec"), found)
    await found["test_payments_stay_inside"]()


async def test_the_template_gives_everything_on(tmp_path: Path) -> None:
    file = tmp_path / "template.py"
    file.write_text(TEMPLATE)
    assert (await ask_plugin(file, "a.test.")).answer[0][0].to_text() == BEHIND


async def test_files_come_change_and_go_while_it_runs(serve: Any, registry: Any, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    server = await serve(corefile(tmp_path))
    assert await ask(server) == "192.0.2.1"
    file.write_text(plugin("return addressed(query, 'mine', ['192.0.2.10'])"))
    await server.clock.advance(1)
    assert await ask(server) == "192.0.2.10"
    file.write_text(plugin("return addressed(query, 'mine', ['192.0.2.111'])"))
    await server.clock.advance(1)
    assert await ask(server) == "192.0.2.111"
    file.write_text("this is no Python")
    await server.clock.advance(5)
    assert await ask(server) == "192.0.2.111"
    broken = [line for line in server.log if "the one before stays in use" in line]
    assert len(broken) == 1 and "SyntaxError" in broken[0]
    file.unlink()
    await server.clock.advance(1)
    assert await ask(server) == "192.0.2.1"


async def test_they_see_queries_in_the_order_of_their_names(serve: Any, registry: Any, tmp_path: Path) -> None:
    (tmp_path / "20-second.py").write_text(plugin("return addressed(query, 'b', ['192.0.2.22'])"))
    (tmp_path / "10-first.py").write_text(
        plugin(
            "return await following(query) if query.text.startswith('x.') else addressed(query, 'a', ['192.0.2.11'])"
        )
    )
    (tmp_path / "_left_out.py").write_text("raise SystemExit")
    server = await serve(corefile(tmp_path))
    assert [await ask(server, "x.example."), await ask(server, "y.example.")] == ["192.0.2.22", "192.0.2.11"]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("raise ValueError('seven')", "ValueError: seven"),
        ("return None", "serve gave NoneType, not an Answer"),
        ("sys.exit(3)", "SystemExit: 3"),
        ("return query.nosuch", "AttributeError"),
        ("return 1 / 0", "ZeroDivisionError"),
    ],
)
async def test_what_it_breaks_is_one_answer(
    body: str, why: str, serve: Any, registry: Any, tmp_path: Path, host: Any
) -> None:
    guard = "if not query.text.startswith('bad.'): return await following(query)\n        "
    (tmp_path / "mine.py").write_text(plugin(guard + body))
    server = await serve(corefile(tmp_path))
    assert await ask(server, "bad.example.") == "SERVFAIL"
    assert any(f"plugin/plugin_path: mine: {why}" in line for line in server.log)
    assert await ask(server) == "192.0.2.1"
    assert 'seamark_dns_plugin_path_failures_total{plugin="mine"} 1.0' in host.metrics.text().decode()


async def test_one_that_never_answers_is_given_up(serve: Any, registry: Any, tmp_path: Path) -> None:
    import asyncio

    (tmp_path / "mine.py").write_text(plugin("await asyncio.Event().wait()"))
    server = await serve(corefile(tmp_path))
    asking = asyncio.ensure_future(ask(server))
    await asyncio.sleep(0)
    await server.clock.advance(0)
    await server.clock.advance(2)
    assert await asking == "SERVFAIL"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "0 classes"),
        ("class A:\n    def serve(self, query, following): ...", "0 classes"),
        (plugin("return None") + plugin("return None").replace("Mine", "Other"), "2 classes"),
        ("import nosuchmodule", "ModuleNotFoundError"),
        ("raise SystemExit(1)", "SystemExit"),
        (plugin("return None") + "    def __init__(self):\n        raise OSError('disk')", "OSError: disk"),
    ],
)
def test_files_that_give_no_plugin(text: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(text)
    with pytest.raises(PluginFileError, match=re.escape(why)) as caught:
        load_plugin(file, ScriptedCluster({}, {}))
    assert str(file) in str(caught.value)


async def test_a_plugin_may_ask_the_own_server(tmp_path: Path) -> None:
    class Aliases:
        def __init__(self, cluster: Any) -> None:
            self.cluster = cluster

        async def serve(self, query: Any, following: Any) -> Any:
            from seamark.dns.reply import addressed

            found = await self.cluster.lookup(query, dns.name.from_text("real.example."), query.rdtype)
            return addressed(query, "aliases", [found.answer[0][0].address])

    found = await ask_plugin(Aliases, "alias.example.", names={"real.example.": "192.0.2.5"})
    assert found.answer[0][0].to_text() == "192.0.2.5"
