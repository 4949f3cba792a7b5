"""One end of the measured connections: with ``serve PORT`` as arguments the server's end, else the client's.

The client takes one JSON document a line and answers with one: ``{"connect": [[ip, port], …], "count": n}``,
``{"echo": [ip, port], "count": n}``, ``{"stream": [ip, port], "seconds": s}``. Times are medians in microseconds, CPU
is this process's (the server's is asked of the kernel): on veths the whole way of a packet is run by its sender.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import struct
import sys
import time
from collections.abc import Sequence
from typing import Any

ACCEPT, ECHO, SINK = 8080, 8081, 8082
RESET = struct.pack("ii", 1, 0)
PIECE = bytes(1 << 17)

Place = Sequence[Any]


def serve(port: int) -> None:
    work = {ECHO: echo, SINK: sink}.get(port)
    listener = socket.create_server(("0.0.0.0", port), backlog=1024)
    print("listening", flush=True)
    while True:
        connection, _ = listener.accept()
        with connection:
            if work is not None:
                work(connection)


def echo(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := connection.recv(64):
        connection.send(data)


def sink(connection: socket.socket) -> None:
    room = bytearray(len(PIECE))
    while connection.recv_into(room):
        pass


def connect(places: Sequence[Place], count: int) -> list[float]:
    times = []
    for number in range(count):
        ip, port = places[number * 7919 % len(places)]
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            began = time.perf_counter()
            client.connect((ip, port))
            times.append(time.perf_counter() - began)
    return times


def ping(place: Place, count: int) -> list[float]:
    times = []
    with socket.create_connection(tuple(place)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(count):
            began = time.perf_counter()
            client.send(b"?")
            client.recv(64)
            times.append(time.perf_counter() - began)
    return times


def stream(place: Place, seconds: float) -> tuple[int, float]:
    """Bytes, and how long it took."""
    sent, began = 0, time.perf_counter()
    with socket.create_connection(tuple(place)) as client:
        while time.perf_counter() - began < seconds:
            sent += client.send(PIECE)
    return sent, time.perf_counter() - began


def answer(asked: dict[str, Any]) -> dict[str, float]:
    before = time.process_time()
    if "stream" in asked:
        sent, took = stream(asked["stream"], asked["seconds"])
        return {"value": sent * 8 / took / 1e9, "cpu": time.process_time() - before, "units": sent / 1e9}
    times = connect(asked["connect"], asked["count"]) if "connect" in asked else ping(asked["echo"], asked["count"])
    cpu = time.process_time() - before
    return {"value": statistics.median(times) * 1e6, "cpu": cpu, "units": float(len(times))}


if __name__ == "__main__":
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1] if "serve" in sys.argv else cores[0]})  # else where they are decides
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]))
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
