"""Runs in the client's namespace: connects, and says on standard output when it was answered as told.

One JSON document a line. ``{"until": [[ip, port, prefix], …]}``: goes through the list in order, connecting to each
until the answer begins with the prefix, and gives the moment of the last (CLOCK_MONOTONIC).
``{"setup": {name: [[ip, port], …]}, "count": n}``: microseconds of n connects to each, all in turn.
With ``serve`` as argument it is the server instead: answers every connection with the address it was sent to.
"""

from __future__ import annotations

import json
import socket
import statistics
import struct
import sys
import time
from typing import Any

RESET = struct.pack("ii", 1, 0)
PAUSE = 0.0003
CONNECT_SECONDS = 1.0
GLIMPSE = 0.02
"""Seconds one try of ``until`` may take. Before there are rules a SYN is lost, and the kernel sends the next after a
second: who waits for that measures whole seconds.
"""


def serve(port: int) -> None:
    """On every address that the namespace has."""
    listener = socket.create_server(("0.0.0.0", port), backlog=1024)
    print("listening", flush=True)
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # of this one connection; the next is waited for
            continue
        with connection:
            try:
                connection.send(connection.getsockname()[0].encode())
            except OSError:  # the client did not wait
                pass


def ask(ip: str, port: int) -> str:
    with socket.socket() as client:
        client.settimeout(GLIMPSE)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        try:
            client.connect((ip, port))
            return client.recv(64).decode()
        except OSError:
            return ""


def wait_until(targets: list[tuple[str, int, str]]) -> float:
    for ip, port, prefix in targets:
        while not ask(ip, port).startswith(prefix):
            time.sleep(PAUSE)
    return time.monotonic()


def time_setup(targets: dict[str, list[tuple[str, int]]], count: int) -> dict[str, float]:
    """Median microseconds of connect alone."""
    found: dict[str, list[float]] = {name: [] for name in targets}
    for number in range(count):
        for name, places in targets.items():
            found[name].append(connect(*places[number * 7919 % len(places)]))
    return {name: statistics.median(times) * 1e6 for name, times in found.items()}


def connect(ip: str, port: int) -> float:
    """One that does not come about counts as long as it was waited for. The answer is taken before the connection is
    reset, outside the time: a reset that crosses it would leave half of a connection in conntrack, where a mode that
    drops what is invalid (iptables) lets the next one with that port wait.
    """
    with socket.socket() as client:
        client.settimeout(CONNECT_SECONDS)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        began = time.perf_counter()
        try:
            client.connect((ip, port))
            took = time.perf_counter() - began
            client.recv(64)
        except OSError:
            return CONNECT_SECONDS
        return took


def answer(asked: dict[str, Any]) -> object:
    if "until" in asked:
        return wait_until(asked["until"])
    return time_setup(asked["setup"], asked["count"])


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]))
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
