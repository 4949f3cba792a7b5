"""Probes: how results become verdicts, and what is said of a failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from seamark.agent.asker import Asker
from seamark.agent.connect import NodeConnector
from seamark.agent.podspec import Container, HTTPGetAction, Probe
from seamark.agent.probes import Tally, parse_status_line, plan_probe_times, render_http_get, select_port
from seamark.linux.clock import SystemClock
from seamark.model import codec
from seamark.testing.fakeruntime import FakeRuntime


class TestTally:
    @pytest.mark.parametrize(
        ("results", "verdict"),
        [("g", True), ("bb", None), ("bbb", False), ("gbbgbb", True), ("gbbb", False), ("bbbg", True)],
    )
    def test_thresholds(self, results: str, verdict: bool | None) -> None:
        tally = Tally()
        for result in results:
            tally = tally.after(result == "g", Probe(failure_threshold=3))
        assert tally.verdict is verdict

    def test_several_successes(self) -> None:
        probe = Probe(success_threshold=2, failure_threshold=1)
        tally = Tally().after(False, probe).after(True, probe)
        assert tally.verdict is False and tally.after(True, probe).verdict is True


def test_early_probes_fill_the_first_period_and_never_more() -> None:
    assert plan_probe_times(Probe(period_seconds=1), eager=True) == pytest.approx((0.1, 0.3, 0.7))
    assert plan_probe_times(Probe(period_seconds=10), eager=True)[-1] < 10
    assert plan_probe_times(Probe(period_seconds=10), eager=False) == ()


@pytest.mark.parametrize(("port", "number"), [(80, 80), ("http", 8080), ("81", 81), ("nosuch", None)])
def test_port(port: int | str, number: int | None) -> None:
    container = codec.convert({"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}, Container)
    assert select_port(container, port) == number


def test_request() -> None:
    action = codec.convert({"path": "/x?y=1", "httpHeaders": [{"name": "host", "value": "me"}]}, HTTPGetAction)
    request = render_http_get(action, "10.0.0.1", 80).decode().split("\r\n")
    assert request[0] == "GET /x?y=1 HTTP/1.1" and "Host: me" in request and "Host: 10.0.0.1:80" not in request


def test_headers_cannot_break_out() -> None:
    action = codec.convert({"httpHeaders": [{"name": "X", "value": "a\r\nEvil: 1"}]}, HTTPGetAction)
    with pytest.raises(ValueError, match="line breaks"):
        render_http_get(action, "10.0.0.1", 80)


@pytest.mark.parametrize("line", [b"", b"SSH-2.0-x", b"HTTP/1.1 abc"])
def test_status_line_of_something_else(line: bytes) -> None:
    with pytest.raises(ValueError, match="malformed HTTP"):
        parse_status_line(line)


class TestAsker:
    @pytest.fixture
    async def port(self) -> AsyncIterator[int]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            words = (await reader.readline()).split()  # a TCP probe says nothing
            if words[1:2] == [b"/hang"]:
                await reader.read()
            elif words[1:2] and words[1].startswith(b"/to/"):
                place = words[1].removeprefix(b"/to/").replace(b"@", b"/")
                writer.write(b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 5\r\n\r\nFound" % place)
            elif len(words) > 1:
                writer.write(b"HTTP/1.1 %s Word\r\n\r\n" % words[1][1:])
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]

    async def ask(self, **probe: Any) -> tuple[bool, str]:
        clock = SystemClock()
        asker = Asker("u1", runtime=FakeRuntime(clock), connect=NodeConnector(None), clock=clock)
        return await asker.ask(Container(name="c"), codec.convert(probe, Probe), "127.0.0.1")

    @pytest.mark.parametrize(("code", "good"), [(200, True), (302, True), (404, False), (503, False)])
    async def test_http(self, port: int, code: int, good: bool) -> None:
        found, text = await self.ask(httpGet={"path": f"/{code}", "port": port})
        assert found is good
        assert good or text == f"HTTP probe failed with statuscode: {code}"

    async def test_redirects_are_followed_on_the_same_host(self, port: int) -> None:
        assert await self.ask(httpGet={"path": "/to/@200", "port": port}) == (True, "")
        found, text = await self.ask(httpGet={"path": "/to/@503", "port": port})
        assert (found, text) == (False, "HTTP probe failed with statuscode: 503")

    async def test_a_redirect_to_another_host_is_good_and_told(self, port: int) -> None:
        found = await self.ask(httpGet={"path": "/to/http:@@0.0.0.0@", "port": port})
        assert found == (True, "Probe terminated redirects, Response body: Found")

    async def test_a_circle_of_redirects(self, port: int) -> None:
        found, text = await self.ask(httpGet={"path": "/to/", "port": port})
        assert (found, text) == (False, f'Get "http://127.0.0.1:{port}/to/": stopped after 10 redirects')

    async def test_timeout(self, port: int) -> None:
        found, text = await self.ask(httpGet={"path": "/hang", "port": port}, timeoutSeconds=0)
        assert not found and "context deadline exceeded" in text

    async def test_refused(self) -> None:
        found, text = await self.ask(httpGet={"port": 1})
        assert not found
        assert text == 'Get "http://127.0.0.1:1/": dial tcp 127.0.0.1:1: connect: connection refused'
        assert (await self.ask(tcpSocket={"port": 1}))[1] == "dial tcp 127.0.0.1:1: connect: connection refused"

    async def test_tcp(self, port: int) -> None:
        assert await self.ask(tcpSocket={"port": port}) == (True, "")

    async def test_port_without_a_name(self) -> None:
        assert await self.ask(httpGet={"port": "nosuch"}) == (False, "couldn't find port: nosuch")
