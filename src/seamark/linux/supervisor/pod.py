"""The pod: its containers from start to removal, and commands in them. One per supervisor."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time

from seamark.linux.supervisor.container import Container
from seamark.linux.supervisor.kernel import (
    RUN,
    exit_code,
    mount,
    mount_root,
    oom_kills,
    read_text,
    remove_own_cgroup,
    start_time,
    unmount_root,
    write_atomically,
)
from seamark.linux.supervisor.loop import Loop
from seamark.linux.supervisor.output import Console, LogFile, LogStream, complain
from seamark.linux.supervisor.peer import Peer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

START_ERROR = 128


class Pod:
    """Everything the supervisor knows; one per process. ``holder``: process 1 where containers share processes."""

    def __init__(self, sandbox: dict[str, Any], holder: int) -> None:
        self.sandbox = sandbox
        self.holder = holder
        self.loop = Loop()
        if holder:
            self.loop.on_exit(holder, self.holder_ended)
        self.peers: list[Peer] = []
        self.containers: dict[str, Container] = {}
        self.created = time.time()
        self.serial = 0
        self.stopping: list[tuple[Peer, int]] = []
        self.mounted: list[str] = []
        self.null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind("socket")
        self.listener.listen(16)
        self.loop.watch(self.listener.fileno(), self._accept)

    def _accept(self) -> None:
        sock, _ = self.listener.accept()
        peer = Peer(self, sock)
        self.peers.append(peer)
        peer.send({"state": self.state()})

    def state(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "start": start_time(os.getpid()),
            "created": self.created,
            "holder": self.holder,
            "containers": [container.state for container in self.containers.values()],
        }

    def changed(self) -> None:
        state = self.state()
        try:
            write_atomically("state.json", json.dumps(state))
        except OSError as error:
            complain("state.json", error)
        for peer in list(self.peers):
            peer.send({"state": state})

    def handle(self, peer: Peer, request: dict[str, Any], fds: tuple[int, ...]) -> None:
        number = request["id"]
        match request["op"]:
            case "start":
                self.start(peer, request)
            case "exec":
                self.exec(peer, request, fds)
            case "kill-exec":
                peer.kill_exec(request["exec"])
                peer.send({"id": number})
            case "attach":
                peer.attach(number, self.containers.get(request["key"]), stdin=request["stdin"], fds=fds)
            case "detach":
                peer.detach(request["attach"])
                peer.send({"id": number})
            case "close-stdin":
                container = self.containers.get(request["key"])
                if container:
                    container.close_stdin()
                peer.send({"id": number})
            case "signal":
                container = self.containers.get(request["key"])
                if container and container.state.get("pid") and container.running:
                    os.kill(container.state["pid"], request["signal"])
                peer.send({"id": number})
            case "stop":
                self.stopping.append((peer, number))
                self.stop()
            case other:
                raise ValueError(f"unknown request {other!r}")

    # ---- containers

    def runc(self, name: str, *arguments: str) -> list[str]:
        log = ("--log", f"{RUN}/{name}.log", "--log-format", "json")
        return [self.sandbox["runc"], "--root", os.path.abspath("runc"), *log, *arguments]

    def failure(self, name: str) -> str:
        """What runc said last. Its log is read and removed."""
        text = read_text(f"{RUN}/{name}.log").strip().rpartition("\n")[2]
        self.discard(f"{name}.log")
        told = str(json.loads(text).get("msg", text)) if text.startswith("{") else text
        return told or self.loop.take_complaint() or "the OCI runtime failed and gave no reason"

    def discard(self, *names: str) -> None:
        for name in names:
            if os.path.exists(f"{RUN}/{name}"):
                os.unlink(f"{RUN}/{name}")

    def start(self, peer: Peer, request: dict[str, Any]) -> None:
        container = Container(request)
        if container.key in self.containers:
            peer.send({"id": request["id"]})
            return
        if self.stopping:
            raise RuntimeError("the pod is being removed")
        for path, options in container.tmpfs:
            if path not in self.mounted:
                mount("tmpfs", path, "tmpfs", options or "mode=1777")
                self.mounted.append(path)
        container.log = LogFile(request["log_path"])
        try:
            mount_root(request["layers"], container.directory)
        except OSError:
            unmount_root(container.directory)
            container.release()
            raise
        self.containers[container.key] = container
        self.forget_old_attempts(container)
        console = Console(f"{RUN}/{container.key}.console") if request["tty"] else None
        outputs, stdio = self.stdio(container, request)
        arguments = ["run", "--detach", "--bundle", container.directory, "--pid-file", f"{RUN}/{container.key}.pid"]
        if console:
            arguments += ["--console-socket", f"../../../{console.name}"]
        self.loop.begin()

        def ended(status: int) -> None:
            if console:
                outputs["stdout"] = console.close(receive=status == 0)
            self.started(container, status, outputs)
            self.loop.settle()
            answer = {} if status == 0 else {"error": self.failure(container.key)}
            self.discard(f"{container.key}.log")
            peer.send({"id": request["id"], **answer})

        self.loop.spawn([*self.runc(container.key, *arguments), container.key], stdio, ended)
        for fd in set(stdio) - {self.null}:
            os.close(fd)

    def stdio(self, container: Container, request: dict[str, Any]) -> tuple[dict[str, int], tuple[int, int, int]]:
        """Our ends by name, and the three descriptors for the container."""
        if request["tty"]:
            return {}, (self.null, self.null, self.null)
        stdin = self.null
        if request["stdin"]:  # stays open while nobody is attached, as a client that never types
            stdin, container.stdin = os.pipe2(os.O_CLOEXEC)
        out_ours, out = os.pipe2(os.O_CLOEXEC)
        err_ours, err = os.pipe2(os.O_CLOEXEC)
        return {"stdout": out_ours, "stderr": err_ours}, (stdin, out, err)

    def started(self, container: Container, status: int, outputs: dict[str, int]) -> None:
        if status != 0:  # what is in the pipes then is runc's own complaint
            for fd in outputs.values():
                if fd >= 0:
                    os.close(fd)
            now = time.time()
            container.state |= {"status": "exited", "exit_code": START_ERROR, "started": now, "finished": now}
            self.cleanup(container)
            return
        pid = int(read_text(f"{RUN}/{container.key}.pid"))
        self.discard(f"{container.key}.pid")
        log = container.log
        assert log is not None
        container.streams = [LogStream(self.loop, fd, log, name) for name, fd in outputs.items()]
        container.state |= {"status": "running", "pid": pid, "start": start_time(pid), "started": time.time()}
        self.changed()
        self.loop.on_exit(pid, lambda status: self.ended(container, status))
        if self.stopping:
            self.stop()

    def ended(self, container: Container, status: int) -> None:
        container.release()
        container.state |= {
            "status": "exited",
            "finished": time.time(),
            "exit_code": exit_code(status),
            "oom": oom_kills(container.memory_events) > 0,
        }
        self.cleanup(container)

    def cleanup(self, container: Container) -> None:
        """Tells the end at once, then takes away what the container had."""
        container.release()
        self.changed()

        def deleted(_: int) -> None:
            self.discard(f"{container.key}.delete.log")
            unmount_root(container.directory)
            self.loop.spawn(["rm", "-rf", "--", container.directory], (self.null, self.null, 2), emptied)

        def emptied(_: int) -> None:
            container.removed = True
            self.stop_when_empty()

        command = [*self.runc(f"{container.key}.delete", "delete", "--force"), container.key]
        self.loop.spawn(command, (self.null, self.null, self.null), deleted)

    def forget_old_attempts(self, newest: Container) -> None:
        """Two attempts of each container are remembered."""
        for key, container in list(self.containers.items()):
            if container.name == newest.name and container.attempt < newest.attempt - 1 and container.removed:
                del self.containers[key]

    # ---- commands in a running container

    def exec(self, peer: Peer, request: dict[str, Any], fds: tuple[int, ...]) -> None:
        number = request["id"]
        self.serial += 1
        name = f"exec-{self.serial}"
        write_atomically(f"{RUN}/{name}.json", json.dumps(request["process"]))
        console = Console(f"{RUN}/{name}.console") if request["process"]["terminal"] else None
        arguments = ["exec", "--detach", "--pid-file", f"{RUN}/{name}.pid", "--process", f"{RUN}/{name}.json"]
        if console:
            arguments += ["--console-socket", console.name]
        peer.execs[number] = 0
        self.loop.begin()

        def ended(status: int) -> None:
            terminal = console.close(receive=status == 0) if console else -1
            if status != 0:
                peer.execs.pop(number)
                peer.send({"id": number, "error": self.failure(name)})
            else:
                self.exec_started(peer, number, int(read_text(f"{RUN}/{name}.pid")), terminal)
            if terminal >= 0:
                os.close(terminal)
            self.discard(f"{name}.json", f"{name}.pid", f"{name}.log")
            self.loop.settle()

        stdio = fds if len(fds) == 3 else (self.null, self.null, self.null)
        self.loop.spawn([*self.runc(name, *arguments), request["key"]], stdio, ended)

    def exec_started(self, peer: Peer, number: int, pid: int, terminal: int) -> None:
        unwanted = peer.execs[number] == -1
        peer.execs[number] = pid
        peer.send({"id": number}, (terminal,) if terminal >= 0 else ())

        def ended(status: int) -> None:
            peer.execs.pop(number, None)
            peer.send({"exec": number, "code": exit_code(status)})

        self.loop.on_exit(pid, ended)
        if unwanted:
            peer.kill_exec(number)

    # ---- the end

    def holder_ended(self, _: int) -> None:
        """With it ended every process of the pod: nothing is left to hold, and a new sandbox begins anew."""
        self.holder = 0
        if not self.loop.stopped:
            sys.exit("the pod's first process is gone")

    def stop(self) -> None:
        for container in self.containers.values():
            if container.state["status"] == "running":
                os.kill(container.state["pid"], signal.SIGKILL)
        self.stop_when_empty()

    def stop_when_empty(self) -> None:
        if not self.stopping or not all(container.removed for container in self.containers.values()):
            return
        if self.holder:
            os.kill(self.holder, signal.SIGKILL)
        remove_own_cgroup(self.sandbox["cgroup"])
        for peer, number in self.stopping:
            peer.send({"id": number})
        self.loop.stopped = True
