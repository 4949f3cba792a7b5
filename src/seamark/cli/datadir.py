"""The data directory of one cluster: where everything lies, and the lock that says who runs it.

Layout: seamark.json (settings), lock (flock; holds the pid), registry.db, admin.kubeconfig, pki/, images/,
run/netns/{fabric,NODE}, nodes/NODE/, seamark.log (when detached).
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from seamark.cli.errors import UserError
from seamark.cli.settings import Settings, parse_settings


def default_directory() -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/seamark")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "seamark"


@dataclass(frozen=True, slots=True)
class DataDir:
    root: Path

    @property
    def settings_file(self) -> Path:
        return self.root / "seamark.json"

    @property
    def lock_file(self) -> Path:
        return self.root / "lock"

    @property
    def database(self) -> Path:
        return self.root / "registry.db"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "admin.kubeconfig"

    @property
    def log(self) -> Path:
        return self.root / "seamark.log"

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def namespaces(self) -> Path:
        return self.root / "run" / "netns"

    def node(self, name: str) -> Path:
        return self.root / "nodes" / name

    def namespace(self, name: str) -> Path:
        return self.namespaces / name

    def make(self) -> None:
        """Makes the directory, readable by its owner alone (keys and secrets lie in it)."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.namespaces.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"--data-dir {self.root}: cannot be made: {error.strerror}") from None
        if not os.access(self.root, os.W_OK):
            raise UserError(f"--data-dir {self.root}: not writable; choose another or mend its permissions")

    def read_settings(self) -> Settings | None:
        try:
            return parse_settings(self.settings_file.read_bytes(), str(self.settings_file))
        except FileNotFoundError:
            return None

    def write_settings(self, settings: Settings) -> None:
        write_private(self.settings_file, msgspec.json.format(msgspec.json.encode(settings), indent=2) + b"\n")

    def running_pid(self) -> int | None:
        """The process that holds the lock, None when nobody does."""
        try:
            with self.lock_file.open("r") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return int(file.read().strip() or 0)
        except FileNotFoundError:
            return None
        return None

    def take_lock(self) -> int:
        """Holds the directory until this process ends; the descriptor is returned. UserError when it is taken."""
        fd = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(fd, 32, 0).decode().strip() or "?"
            os.close(fd)
            raise UserError(
                f"--data-dir {self.root}: a Seamark is running there (process {pid}); "
                f"`seamark down --data-dir {self.root}` ends it"
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return fd


def write_private(path: Path, data: bytes) -> None:
    """Writes a file of mode 0600 atomically: a reader sees the old one or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
