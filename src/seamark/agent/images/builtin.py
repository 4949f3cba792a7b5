"""The images every node has: the machine's own files as the lower layer (DESIGN §5).

``seamark.local/host`` runs any program of the machine; ``seamark.local/seamark`` runs this very installation, for the
DNS pods. A mount of its own below the root is invisible through the root's layer: what programs need from such
mounts is bound read-only at the same place, everything else (run-time state, other disks) stays out.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from seamark import __version__
from seamark.linux.mountinfo import MountPoint, parse_mountinfo, select_hidden, select_program_mounts
from seamark.linux.runtime import Image

HOST = "seamark.local/host"
SEAMARK = "seamark.local/seamark"
PATH = ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")


def builtin_image(repository: str, name: str, *, data: Path) -> Image | None:
    """The image as the machine is now; None when ``repository`` is no built-in one. The runtime hides ``data`` and
    /run, so an installation that lies there is bound, too.
    """
    if repository not in {HOST, SEAMARK}:
        return None
    digest = "sha256:" + hashlib.sha256(f"{repository}@{__version__}".encode()).hexdigest()
    mounts = parse_mountinfo(Path("/proc/self/mountinfo").read_text())
    binds = select_program_mounts(mounts)
    if repository == HOST:
        return Image(name, digest, ("/",), binds, command=("/bin/sh",), env=(PATH,))
    source = str(Path(__file__).parents[3])
    own = tuple(dict.fromkeys(os.path.realpath(path) for path in (sys.prefix, sys.base_prefix, source)))
    needed = select_hidden(own, (*mounts, MountPoint(str(data), "tmpfs"), MountPoint("/run", "tmpfs")))
    return Image(
        name,
        digest,
        ("/",),
        (*binds, *(path for path in needed if path not in binds)),
        entrypoint=(sys.executable, "-m", "seamark"),
        env=(PATH,),
    )
