"""The server of the tutorial's pod_test image: who asked, who answers. Runs inside the image, standard library only.

``python3 -I -S -B server.py [PORT]`` answers every request with
``kubernetes pod-test v0.1!! ClientIP: …, ServerName: …, ServerIP: …!``: the peer's address as it arrives here, the
pod's name, and the address the client reached. As process 1 of a container it must handle SIGTERM itself.
"""

import _thread
import os
import signal
import socket
import sys

TEXT = "kubernetes pod-test v0.1!! ClientIP: {client}, ServerName: {name}, ServerIP: {server}!\n"
HEADER_LIMIT = 64 * 1024
IDLE_SECONDS = 30


def read_request(connection: socket.socket, buffered: bytes) -> tuple[bytes, bytes]:
    """One request's head and what came after it; an empty head at the end of the connection."""
    while b"\r\n\r\n" not in buffered:
        data = connection.recv(4096)
        if not data or len(buffered) > HEADER_LIMIT:
            return b"", b""
        buffered += data
    head, _, rest = buffered.partition(b"\r\n\r\n")
    return head, rest


def render_answer(client: str, server: str, *, close: bool) -> bytes:
    body = TEXT.format(client=client, name=socket.gethostname(), server=server).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + (b"Connection: close\r\n" if close else b"") + b"\r\n" + body


def serve(connection: socket.socket, client: str) -> None:
    with connection:
        connection.settimeout(IDLE_SECONDS)
        buffered = b""
        try:
            server = connection.getsockname()[0]
            while True:
                head, buffered = read_request(connection, buffered)
                if not head:
                    return
                lowered = head.lower()
                # A body is not read, so the connection cannot carry another request after one.
                close = b"connection: close" in lowered or b" http/1.0" in lowered or not lowered.startswith(b"get ")
                connection.sendall(render_answer(client, server, close=close))
                if close:
                    return
        except OSError:
            return


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 80
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("", port))
    listener.listen(1024)
    while True:
        connection, (client, _) = listener.accept()
        _thread.start_new_thread(serve, (connection, client))


if __name__ == "__main__":
    main()
