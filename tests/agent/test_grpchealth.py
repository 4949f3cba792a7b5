"""One question of gRPC's health protocol: what a real server (agnhost of Kubernetes 1.36) answered, recorded."""

from __future__ import annotations

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived

from seamark.agent.grpchealth import HealthCall, HealthError, render_request

SERVING = (
    "0000060400000000000005000040000000000401000000000000040800000000000000000500000806000000000002041010090e0707"
    "00000e010400000001885f8b1d75d0620d263d4c4d65640000070000000000010000000002080100001801050000000140889acac8b2"
    "1234da8f013040899acac8b5254207317f00"
)
NOT_SERVING = SERVING.replace("0000000002080100", "0000000002080200")
UNKNOWN_SERVICE = (
    "0000060400000000000005000040000000000401000000000000040800000000000000000d00000806000000000002041010090e0707"
    "000031010500000001885f8b1d75d0620d263d4c4d656440889acac8b21234da8f013540899acac8b5254207317f8bb6aeb51fc54a20"
    "b677310b"
)


def answer(call: HealthCall, data: bytes, *, step: int) -> str:
    for start in range(0, len(data), step):
        status = call.receive(data[start : start + step])
        if status:
            return status
    return ""


@pytest.mark.parametrize("step", [1, 1000])
@pytest.mark.parametrize(("recorded", "status"), [(SERVING, "SERVING"), (NOT_SERVING, "NOT_SERVING")])
def test_a_status(recorded: str, status: str, step: int) -> None:
    call = HealthCall("10.244.0.5:5000", "")
    call.pending()
    assert answer(call, bytes.fromhex(recorded), step=step) == status
    assert call.pending(), "settings and pings were acknowledged"


def test_an_unknown_service() -> None:
    call = HealthCall("10.244.0.5:5000", "nosuch")
    with pytest.raises(HealthError, match=r"^rpc error: code = 5 desc = unknown service$"):
        answer(call, bytes.fromhex(UNKNOWN_SERVICE), step=1)


@pytest.mark.parametrize("data", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\xff\xff\xff\xff\xff\xff" * 2])
def test_not_grpc(data: bytes) -> None:
    call = HealthCall("10.244.0.5:80", "")
    with pytest.raises(HealthError, match=r"closed the connection|not HTTP/2"):
        assert not answer(call, data, step=5) and call.receive(b"")


def test_a_server_without_the_protocol() -> None:
    call, server = HealthCall("10.244.0.5:5000", "x.Y"), H2Connection(H2Configuration(client_side=False))
    server.initiate_connection()
    events = server.receive_data(call.pending())
    (request,) = [dict(e.headers) for e in events if isinstance(e, RequestReceived)]
    assert request[b":path"] == b"/grpc.health.v1.Health/Check" and request[b":authority"] == b"10.244.0.5:5000"
    assert b"".join(e.data for e in events if isinstance(e, DataReceived)) == b"\0\0\0\0\x05\x0a\x03x.Y"
    trailers = [(":status", "200"), ("grpc-status", "12"), ("grpc-message", "unknown service grpc.health.v1.Health")]
    server.send_headers(1, trailers, end_stream=True)
    with pytest.raises(HealthError, match=r"does not implement the grpc health protocol: unknown service"):
        call.receive(server.data_to_send())


def test_requests() -> None:
    assert render_request("") == b"\0\0\0\0\0"
    assert render_request("x" * 200)[:8] == b"\0\0\0\0\xcb\x0a\xc8\x01"
