"""The programs that the suite calls inside its images, out of Debian's packages, as one layer.

The suite's own images stand on Alpine and Debian. Here are the tools that its scripts were written for: dash as ``sh``
(busybox' own runs its applets before anything on PATH), OpenBSD's netcat (busybox' knows neither UDP nor ``-t``), a
wget and a dig that look up names (a static busybox crashes); busybox fills in what is left. Packages are downloaded by
apt, with what they depend on, into a cache folder, and never installed; no maintainer script runs.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGES = (
    *("bash", "dash", "busybox-static", "libc-bin"),
    *("bind9-dnsutils", "curl", "iproute2", "iputils-ping", "netcat-openbsd", "wget"),
)
MERGED = ("bin", "lib", "lib64", "sbin")
"""Directories that are links into /usr on a Debian of today, where some packages still put files."""

LEFT_OUT = ("usr/share/", "usr/lib/x86_64-linux-gnu/perl", "usr/include/", "var/")
LINKS = {"usr/bin/sh": "dash", "usr/bin/nc": "nc.openbsd"}
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
DIRECTORIES = {"dev": 0o755, "proc": 0o755, "root": 0o700, "run": 0o755, "sys": 0o755, "tmp": 0o1777, "var": 0o755}


class UserlandError(Exception):
    """What apt or dpkg said."""


def fetch_packages(cache: Path) -> list[Path]:
    """The archives of the packages and all they depend on; downloaded where they are not in the cache yet."""
    archives = cache / "apt" / "archives"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    nothing = cache / "apt" / "status"  # as if nothing were installed here
    nothing.touch()
    options = {
        "Dir::State::status": nothing,
        "Dir::Cache": cache / "apt",
        "Debug::NoLocking": 1,
        "APT::Sandbox::User": "root",
    }
    argv = ["apt-get", "-y", "-qq", "--no-install-recommends", "--download-only"]
    argv += [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    done = subprocess.run([*argv, "install", *PACKAGES], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserlandError(f"apt-get: {done.stderr.strip()}; `apt-get update` may help")
    return sorted(archives.glob("*.deb"))


def build_userland(cache: Path) -> Path:
    """The layer, made anew when the packages have changed."""
    packages = fetch_packages(cache)
    layer = cache / "userland.tar"
    stamp, wanted = cache / "userland.packages", "\n".join(package.name for package in packages)
    if layer.exists() and stamp.exists() and stamp.read_text() == wanted:
        return layer
    with tarfile.open(layer, "w") as target:
        writer = LayerWriter(target)
        for name, mode in DIRECTORIES.items():
            writer.directory(name, mode=mode)
        for name in MERGED:
            writer.link(name, f"usr/{name}")
        for package in packages:
            with open_package(package) as files:
                writer.copy(files)
        for name, content in FILES.items():
            writer.file(name, content.encode())
        for name, to in LINKS.items():
            writer.link(name, to)
        writer.link_applets(list_applets(extract_busybox(packages)))
    stamp.write_text(wanted)
    return layer


def extract_busybox(packages: list[Path]) -> Path:
    """The program, beside its package."""
    package = next(package for package in packages if package.name.startswith("busybox-static_"))
    program = package.with_name("busybox")
    with open_package(package) as files:
        for member in files:
            found = files.extractfile(member) if member.name.endswith("bin/busybox") else None
            if found is not None:
                program.write_bytes(found.read())
                program.chmod(0o755)
                return program
    raise UserlandError(f"{package.name}: no busybox in it")


def list_applets(busybox: Path) -> list[str]:
    return subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()


@contextmanager
def open_package(package: Path) -> Iterator[tarfile.TarFile]:
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with tarfile.open(fileobj=process.stdout, mode="r|") as files:
            yield files
        process.stdout.close()
    if process.returncode:
        raise UserlandError(f"{package.name}: dpkg-deb cannot read it; remove it from the cache")


class LayerWriter:
    """A layer's tar: every path once, below /usr where Debian merged them, times zero so that equal files are equal."""

    def __init__(self, target: tarfile.TarFile) -> None:
        self._target = target
        self._there: set[str] = set()

    def copy(self, files: tarfile.TarFile) -> None:
        for member in files:
            name = _place(member.name)
            if not name or name in self._there or f"{name}/".startswith(LEFT_OUT) or name in MERGED:
                continue
            member.name, member.mtime = name, 0
            if member.islnk():
                member.linkname = _place(member.linkname)
            self._there.add(name)
            self._target.addfile(member, files.extractfile(member) if member.isreg() else None)

    def file(self, name: str, data: bytes, *, mode: int = 0o644) -> None:
        self._add(name, tarfile.REGTYPE, mode=mode, data=data)

    def directory(self, name: str, *, mode: int = 0o755) -> None:
        self._add(name, tarfile.DIRTYPE, mode=mode)

    def link(self, name: str, to: str) -> None:
        self._add(name, tarfile.SYMTYPE, mode=0o777, link=to)

    def link_applets(self, applets: list[str]) -> None:
        """For every name that no real program has."""
        for applet in applets:
            if not {f"usr/bin/{applet}", f"usr/sbin/{applet}"} & self._there:
                self.link(f"usr/bin/{applet}", "busybox")

    def _add(self, name: str, kind: bytes, *, mode: int, data: bytes = b"", link: str = "") -> None:
        if name in self._there:
            return
        self._there.add(name)
        member = tarfile.TarInfo(name)
        member.type, member.mode, member.size, member.linkname = kind, mode, len(data), link
        self._target.addfile(member, io.BytesIO(data))


def _place(name: str) -> str:
    path = name.removeprefix("./").strip("/")
    return f"usr/{path}" if path.partition("/")[0] in MERGED else path
