"""Never stale, and honest when it is: propagation, ``/visible``, snapshots, and the cache that keeps out of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import dns.edns
import dns.message
import pytest

from seamark.client.client import WatchEvent
from seamark.client.committed import commit_time
from seamark.testing.clock import settle
from seamark.testing.dnscase import render_records

WEB = "web.default.svc.cluster.local."
GONE = "gone.default.svc.cluster.local."


def corefile(*lines: str) -> str:
    inside = "\n".join(lines)
    return f". {{\nhealth :1\nready :2\nprometheus :3\nkubernetes cluster.local {{\n{inside}\n}}\ncache 3600\n}}\n"


def service(name: str, ip: str, **spec: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": "default", "creationTimestamp": "2023-11-14T22:13:00Z"}
    return {"metadata": meta, "spec": {"clusterIP": ip, "clusterIPs": [ip], **spec}}


async def ask(server: Any, name: str) -> tuple[str, set[str], list[str]]:
    found = await server.ask(dns.message.make_query(name, "A", use_edns=0))
    told = [f"{int(o.code)} {o.text}" for o in found.options if isinstance(o, dns.edns.EDEOption)]
    return found.rcode().name, {r.split(" IN ", 1)[1] for r in render_records(found.answer)}, told


def metric(server: Any, start: str) -> list[str]:
    text = server.instance.http()[":3", "/metrics"]()[2].decode()
    return [line for line in text.splitlines() if line.startswith(start)]


@pytest.fixture
def registry(fake_api: Any) -> Any:
    fake_api.put("namespaces", {"metadata": {"name": "default"}})
    fake_api.put("services", service("web", "10.96.0.5"))
    fake_api.put("services", service("gone", "10.96.0.6"))
    return fake_api


async def test_a_change_is_answered_at_once_whatever_cache_says(serve: Any, registry: Any) -> None:
    server = await serve(corefile())
    assert await ask(server, WEB) == ("NOERROR", {"A 10.96.0.5"}, [])
    registry.put("services", service("web", "10.96.0.7"))
    await settle()
    assert await ask(server, WEB) == ("NOERROR", {"A 10.96.0.7"}, [])
    registry.delete("services", "web")
    await settle()
    assert (await ask(server, WEB))[0] == "NXDOMAIN"
    registry.put("services", service("web", "10.96.0.8"))
    await settle()
    assert await ask(server, WEB) == ("NOERROR", {"A 10.96.0.8"}, [])


async def test_propagation_is_measured_for_every_kind_of_service(serve: Any, registry: Any) -> None:
    server = await serve(corefile())
    registry.put("services", service("heads", "None", selector={"a": "b"}))
    registry.put("services", service("bare", "None"))
    registry.put("services", service("out", "", type="ExternalName", externalName="x.example"))
    registry.put("services", service("web", "10.96.0.9"))
    await settle()
    counted = metric(server, "seamark_dns_propagation_seconds_count")
    kinds = {line.split('service_kind="')[1].split('"')[0] for line in counted}
    assert kinds == {"headless_with_selector", "headless_without_selector", "external_name", "cluster_ip"}
    assert all('commit_time="to_the_second"' in line for line in counted)
    (spent,) = (line for line in metric(server, "seamark_dns_propagation_seconds_sum") if "external_name" in line)
    assert float(spent.split()[-1]) == pytest.approx(server.clock.time() - 1_699_999_980)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (WatchEvent("MODIFIED", b"{}", 12.5), (12.5, "exact")),  # type: ignore[arg-type]
        (WatchEvent("DELETED", b"{}", 12.5), (12.5, "exact")),  # type: ignore[arg-type]
        (WatchEvent("DELETED", b'{"metadata":{"creationTimestamp":"1970-01-01T00:00:09Z"}}'), (0.0, "to_the_second")),  # type: ignore[arg-type]
        (
            WatchEvent(
                "MODIFIED",
                b'{"metadata":{"creationTimestamp":"1970-01-01T00:00:09Z",'  # type: ignore[arg-type]
                b'"managedFields":[{"time":"1970-01-01T00:00:12Z"},{"manager":"x"},{"time":"1970-01-01T00:00:11Z"}]}}',
            ),
            (12.0, "to_the_second"),
        ),
        (WatchEvent("ADDED", b'{"metadata":{"creationTimestamp":"soon"}}'), (0.0, "to_the_second")),  # type: ignore[arg-type]
        (WatchEvent("ADDED", b'{"metadata":[]}'), (0.0, "to_the_second")),  # type: ignore[arg-type]
    ],
    ids=["told", "told-of-a-deletion", "deletion", "last-writer", "no-time", "malformed"],
)
def test_commit_time(event: WatchEvent, expected: tuple[float, str]) -> None:
    assert commit_time(event) == expected


async def test_visible_waits_for_the_revision(serve: Any, registry: Any) -> None:
    server = await serve(corefile())
    visible = server.instance.http()[":1", "/visible"].answer

    async def status(**asked: str) -> int:
        return int((await visible(asked))[0])

    assert await status(revision=str(registry.revision)) == 200
    registry.put("services", service("later", "10.96.0.20"))
    later = str(registry.revision)
    await settle()
    assert await status(revision=later) == 200, "the event itself shows it, whatever the other watches have come to"
    waiting = asyncio.ensure_future(status(revision=str(registry.revision + 1), timeout="5s"))
    await settle()
    await server.clock.advance(1)
    assert not waiting.done()
    registry.put("services", service("last", "10.96.0.21"))
    await server.clock.advance(0.1)
    assert await waiting == 200
    assert (await ask(server, "last.default.svc.cluster.local."))[1] == {"A 10.96.0.21"}
    late = asyncio.ensure_future(status(revision="99999", timeout="2s"))
    await settle()
    await server.clock.advance(2.1)
    assert await late == 504
    assert [await status(revision="x"), await status(), await status(revision="1", timeout="1h")] == [400, 400, 400]


async def keep(serve: Any, path: Path) -> None:
    """A snapshot of the registry as a first server leaves it behind."""
    server = await serve(corefile(f"snapshot {path}"))
    assert metric(server, "seamark_dns_table_stale") == ["seamark_dns_table_stale 0.0"]
    await server.instance.stop()
    assert path.read_bytes()  # noqa: ASYNC240


async def test_snapshot_answers_until_the_api_does(serve: Any, registry: Any, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    await keep(serve, path)
    registry.available = False
    registry.delete("services", "gone")
    registry.put("services", service("new", "10.96.0.30"))
    server = await serve(corefile(f"snapshot {path}"))
    told = "the API server has not answered yet; this is as of 2023-11-14T22:13:20Z"
    assert await ask(server, WEB) == ("NOERROR", {"A 10.96.0.5"}, [f"3 {told}"])
    rcode, _, reasons = await ask(server, "new.default.svc.cluster.local.")
    assert (rcode, reasons[0]) == ("NXDOMAIN", f"19 {told}")
    ready = server.instance.http()[":2", "/ready"]
    assert ready()[::2] == (503, b"kubernetes (stale, as of 2023-11-14T22:13:20Z)")
    assert metric(server, "seamark_dns_table_stale") == ["seamark_dns_table_stale 1.0"]
    registry.available = True
    await server.clock.advance(60)
    assert ready()[0] == 200
    assert await ask(server, WEB) == ("NOERROR", {"A 10.96.0.5"}, [])
    assert (await ask(server, "new.default.svc.cluster.local."))[1] == {"A 10.96.0.30"}
    assert (await ask(server, GONE))[0] == "NXDOMAIN", "what only the snapshot knew is gone"
    assert metric(server, "seamark_dns_table_stale") == ["seamark_dns_table_stale 0.0"]


@pytest.mark.parametrize("spoil", ["garbage", "other-selectors", "other-format"])
async def test_snapshot_that_does_not_fit_is_not_used(
    serve: Any, registry: Any, tmp_path: Path, log: list[str], spoil: str
) -> None:
    path = tmp_path / "state.json"
    await keep(serve, path)
    content = json.loads(path.read_text())
    content |= {"other-selectors": {"selectors": ["a=b", ""]}, "other-format": {"format": "x/2"}}.get(spoil, {})
    path.write_text("{" if spoil == "garbage" else json.dumps(content))
    registry.available = False
    server = await serve(corefile(f"snapshot {path}"))
    assert (await ask(server, WEB))[0] == "SERVFAIL", "nobody may take 'not yet' for 'no'"
    assert server.instance.http()[":2", "/ready"]()[::2] == (503, b"kubernetes")
    assert any("is not used" in line for line in log)


async def test_one_malformed_object_in_a_snapshot_costs_one_name(serve: Any, registry: Any, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    await keep(serve, path)
    content = json.loads(path.read_text())
    (broken,) = (o for o in content["objects"]["services"] if o["metadata"]["name"] == "gone")
    broken["spec"] = 7
    path.write_text(json.dumps(content))
    registry.available = False
    server = await serve(corefile(f"snapshot {path}"))
    assert (await ask(server, WEB))[1] == {"A 10.96.0.5"}
    assert (await ask(server, GONE))[0] == "NXDOMAIN"


async def test_snapshot_that_cannot_be_written_is_told_and_harms_nobody(
    serve: Any, registry: Any, tmp_path: Path, log: list[str]
) -> None:
    server = await serve(corefile(f"snapshot {tmp_path}/nowhere/state.json"))
    assert (await ask(server, WEB))[1] == {"A 10.96.0.5"}
    await server.instance.stop()
    assert any("cannot be written: No such file" in line for line in log)


async def test_api_away_later_answers_go_on(serve: Any, registry: Any) -> None:
    server = await serve(corefile())
    registry.available = False
    await registry.close()
    await server.clock.advance(120)
    assert (await ask(server, WEB))[1] == {"A 10.96.0.5"}
    assert server.instance.http()[":2", "/ready"]()[0] == 200
