"""One gRPC call, grpc.health.v1.Health/Check, as a client sees it on one HTTP/2 connection (sans-IO).

gRPC is HTTP/2 with five octets before each message and its status in trailers; one question of one field needs no
library for it.
"""

from __future__ import annotations

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset, TrailersReceived
from h2.exceptions import H2Error

PATH = "/grpc.health.v1.Health/Check"
STATUSES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
UNIMPLEMENTED = "12"
STREAM = 1


class HealthError(ValueError):
    """The server did not answer the question; says why."""


class HealthCall:
    """Send ``pending`` whenever there is any; ``receive`` until it gives a status."""

    def __init__(self, authority: str, service: str) -> None:
        self._http = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._answered: dict[str, str] = {}
        self._message = b""
        self._http.initiate_connection()
        headers = {
            ":method": "POST",
            ":scheme": "http",
            ":path": PATH,
            ":authority": authority,
            "content-type": "application/grpc",
            "te": "trailers",
            "user-agent": "kube-probe/1.36",
        }
        self._http.send_headers(STREAM, list(headers.items()))
        self._http.send_data(STREAM, render_request(service), end_stream=True)

    def pending(self) -> bytes:
        return self._http.data_to_send()

    def receive(self, data: bytes) -> str:
        """The status by name, empty while there is none. Raises HealthError."""
        if not data:
            raise HealthError("the server closed the connection")
        try:
            events = self._http.receive_data(data)
        except H2Error as error:
            raise HealthError(f"not HTTP/2: {error}") from error
        for event in events:
            match event:
                case ResponseReceived() | TrailersReceived():
                    self._answered |= {str(name): str(value) for name, value in event.headers}
                case DataReceived():
                    self._message += event.data
                case StreamEnded():
                    return self._conclude()
                case StreamReset() | ConnectionTerminated():
                    raise HealthError("the server ended the call")
        return ""

    def _conclude(self) -> str:
        code, text = self._answered.get("grpc-status", ""), self._answered.get("grpc-message", "")
        if code == UNIMPLEMENTED:
            raise HealthError(f"server does not implement the grpc health protocol: {text}")
        if code != "0":
            raise HealthError(f"rpc error: code = {code or 'none'} desc = {text}")
        return parse_response(self._message)


def render_request(service: str) -> bytes:
    """HealthCheckRequest: field 1, a string, left out when empty; names of services are short."""
    name = service.encode()
    size = bytes((len(name),)) if len(name) < 0x80 else bytes((len(name) & 0x7F | 0x80, len(name) >> 7))
    message = b"\x0a" + size + name if name else b""
    return b"\0" + len(message).to_bytes(4, "big") + message


def parse_response(body: bytes) -> str:
    """HealthCheckResponse: field 1, an enumeration; absent, it is its first value."""
    message = body[5:]
    value = message[1] if message[:1] == b"\x08" and len(message) > 1 else 0
    return STATUSES[value] if value < len(STATUSES) else str(value)
