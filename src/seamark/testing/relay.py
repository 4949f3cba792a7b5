"""Between a client and its API server: ``cut`` makes the latter be away; it may listen inside a network namespace."""

from __future__ import annotations

import socket
import threading
from contextlib import closing
from pathlib import Path

from seamark.linux import netns


class Relay:
    """From ``port`` on loopback (of the namespace at ``pin``) to ``to`` on this process's loopback."""

    def __init__(self, to: int, port: int, *, pin: Path | None = None) -> None:
        self.to = to
        self.port = port
        self._pin = pin
        self._open: list[socket.socket] = []
        self._listening: socket.socket | None = None

    def restore(self) -> None:
        listening = self._make_socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        listening.listen()
        self._listening = listening
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()

    def cut(self) -> None:
        for one in (self._listening, *self._open):
            if one is not None:
                with closing(one):
                    try:
                        one.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass
        self._listening, self._open = None, []

    def _make_socket(self) -> socket.socket:
        if self._pin is None:
            return socket.socket()
        return netns.open_socket(self._pin, socket.AF_INET, socket.SOCK_STREAM)

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                client, _ = listening.accept()
                server = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                return
            self._open += [client, server]
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._copy, args=(source, target), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass
