"""The images that the suite names, made here and known to the cluster under exactly those names: nothing is pulled.

``RECIPES`` says what an image of a given name is made of; names and tags come from ``e2e.test --list-images``. An image
without a recipe is left out (cloud disks, NFS, iSCSI, performance): a test that needs it says ErrImagePull.
"""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.network.userland import LayerWriter, build_userland
from seamark.agent.images.archive import own_architecture, write_oci_archive

MODULE = "k8s.io/kubernetes"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
USERS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nuser-defined-in-image:x:1000:1000::/home:/bin/sh\n",
    "etc/group": "root:x:0:\nuser-defined-in-image:x:1000:\ngroup-defined-in-image:x:50000:user-defined-in-image\n",
}
PAUSE = '#!/bin/sh\ntrap "exit 0" TERM INT\nwhile :; do sleep 1000 & wait $!; done\n'
WELCOME = "<!DOCTYPE html>\n<html><head><title>Welcome to nginx!</title></head><body>Welcome to nginx!</body></html>\n"


@dataclass(frozen=True)
class Sources:
    """``peers`` holds the programs of images, ``module`` is Kubernetes' own folder with the files its images copy."""

    cache: Path
    peers: Path
    module: Path
    coredns: Path


@dataclass(frozen=True)
class Recipe:
    """Layers, lowest first, and the image's configuration."""

    layers: tuple[str, ...]
    config: dict[str, Any]


RECIPES = {
    "agnhost": Recipe(("userland", "agnhost"), {"Entrypoint": ["/agnhost"], "Cmd": ["pause"]}),
    "busybox": Recipe(("userland",), {"Cmd": ["sh"]}),
    "glibc-dns-testing": Recipe(("userland",), {"Cmd": ["sh"]}),
    "kitten": Recipe(("userland", "agnhost", "kitten"), {"Entrypoint": ["/agnhost"], "Cmd": ["test-webserver"]}),
    "nautilus": Recipe(("userland", "agnhost", "nautilus"), {"Entrypoint": ["/agnhost"], "Cmd": ["test-webserver"]}),
    "nginx": Recipe(("userland", "nginx"), {"Cmd": ["httpd", "-f", "-p", "80", "-h", "/usr/share/nginx/html"]}),
    "nonewprivs": Recipe(("userland", "nnp"), {"Cmd": ["/usr/local/bin/nnp", "nonewprivs"]}),
    "nonroot": Recipe(("userland",), {"Cmd": ["sh"], "User": "1234"}),
    "regression-issue-74839": Recipe(("userland", "boom"), {"Entrypoint": ["/regression-issue-74839"]}),
    "pause": Recipe(("userland", "pause"), {"Entrypoint": ["/pause"]}),
}


def module_folder(go_mod: Path) -> Path:
    """Where Go keeps the published module whose version ``go_mod`` pins."""
    argv = ["go", "list", "-mod=mod", "-m", "-f", "{{.Dir}}", MODULE]
    done = subprocess.run(argv, cwd=go_mod, capture_output=True, text=True, check=True)
    return Path(done.stdout.strip())


def has_recipe(name: str) -> bool:
    """Not those of other registries: the suite has them to see a pull refused."""
    return name.startswith("registry.k8s.io/") and _repository(name) in RECIPES


def _repository(name: str) -> str:
    return name.rpartition("/")[2].partition(":")[0]


class ImageFactory:
    """Makes each layer once."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._made: dict[str, Path] = {}

    def write_archive(self, name: str, path: Path) -> None:
        """The image called ``name`` as an OCI archive."""
        recipe = RECIPES[_repository(name)]
        config = {"architecture": own_architecture(), "os": "linux", "config": {"Env": [PATH], **recipe.config}}
        write_oci_archive(path, name=name, config=config, layers=[self._layer(layer) for layer in recipe.layers])

    def _layer(self, name: str) -> Path:
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> Path:
        sources = self._sources
        if name == "userland":
            return build_userland(sources.cache)
        path = sources.cache / f"{name}.tar"
        with tarfile.open(path, "w") as target:
            FILLERS[name](LayerWriter(target), sources)
        return path


def _fill_agnhost(layer: LayerWriter, sources: Sources) -> None:
    layer.file("agnhost", (sources.peers / "agnhost").read_bytes(), mode=0o755)
    layer.link("agnhost-2", "agnhost")
    layer.file("coredns", sources.coredns.read_bytes(), mode=0o755)
    for file in ("localhost.crt", "localhost.key"):
        layer.file(file, (sources.module / "test/images/agnhost/porter" / file).read_bytes())
    layer.directory("uploads")
    for name, content in USERS.items():
        layer.file(name, content.encode())


def _fill_pets(kind: str) -> Callable[[LayerWriter, Sources], None]:
    def fill(layer: LayerWriter, sources: Sources) -> None:
        folder = sources.module / "test/images" / kind / "html"
        for file in sorted(folder.iterdir()):
            layer.file(file.name, file.read_bytes())

    return fill


def _fill_nnp(layer: LayerWriter, sources: Sources) -> None:
    layer.file("usr/local/bin/nnp", (sources.peers / "agnhost").read_bytes(), mode=0o4755)


def _fill_boom(layer: LayerWriter, sources: Sources) -> None:
    layer.file("regression-issue-74839", (sources.peers / "regression-issue-74839").read_bytes(), mode=0o755)


def _fill_nginx(layer: LayerWriter, sources: Sources) -> None:
    layer.file("usr/share/nginx/html/index.html", WELCOME.encode())


def _fill_pause(layer: LayerWriter, sources: Sources) -> None:
    layer.file("pause", PAUSE.encode(), mode=0o755)


FILLERS: dict[str, Callable[[LayerWriter, Sources], None]] = {
    "agnhost": _fill_agnhost,
    "boom": _fill_boom,
    "kitten": _fill_pets("kitten"),
    "nautilus": _fill_pets("nautilus"),
    "nginx": _fill_nginx,
    "nnp": _fill_nnp,
    "pause": _fill_pause,
}
