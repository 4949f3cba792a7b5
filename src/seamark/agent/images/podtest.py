"""The tutorial's image, made of what is on the machine: busybox, a few real programs, and a small server.

Programs are copied with the shared libraries that ``ldd`` names, Python with just the modules the server loads. The
result is an ordinary OCI archive that goes through ``ImageStore.load_archive`` like any other. It is built again only
when one of its inputs has changed.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import re
import shutil
import sys
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from seamark.agent.images.archive import ARCHITECTURES, write_oci_archive
from seamark.agent.images.store import ImageStore
from seamark.linux.process import run
from seamark.linux.runtime import Image

POD_TEST = "192.168.10.33:80/k8s/pod_test:v0.1"
RECIPE = 1  # part of the inputs: raise it when this file makes something else of the same files
SERVER = Path(__file__).with_name("podtest_server.py")
PROGRAMS = ("bash", "curl", "dig", "nslookup", "printenv")
NSS_LIBRARIES = ("libnss_dns.so.2", "libnss_files.so.2")
VARIABLES = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "DEPLOYENV=Production",
    "RELEASE=Stable",
    r"PS1=[\u@\h \w]\$ ",
)
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}
DIRECTORIES = ("dev", "etc", "proc", "root", "run", "sys", "tmp", "usr/bin", "var")
LIST_MODULES = """
import sys
import encodings.ascii, encodings.idna, encodings.latin_1, encodings.utf_8, os
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), {"__name__": "listed"})
for module in list(sys.modules.values()):
    file = getattr(module, "__file__", None)
    if file:
        print(module.__name__, file, sep="\\t")
print("os", os.__file__, sep="\\t")
"""


class BuildError(Exception):
    """What is missing on the machine and how to get it."""


@dataclass(slots=True)
class Recipe:
    """What goes where in the image; ``files`` maps a path in it to one on the machine."""

    files: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)


async def build_pod_test(store: ImageStore, *, name: str = POD_TEST) -> Image:
    """Builds the image under ``name`` unless it is there already, made of the same files."""
    recipe = await collect()
    source = f"pod-test {inputs_digest(recipe)}"
    if store.source_of(name) != source:
        with tempfile.TemporaryDirectory(prefix="seamark-image-") as directory:
            archive = Path(directory, "image.tar")
            write_archive(recipe, archive, name=name)
            store.load_archive(archive, name=name, source=source)
    return await store.resolve(name, policy="Never")


async def collect() -> Recipe:
    """Finds every input. Raises BuildError naming the Debian package of a missing program."""
    recipe = Recipe()
    recipe.files["usr/local/lib/pod-test/server.py"] = str(SERVER)
    busybox = _program("busybox")
    recipe.files["bin/busybox"] = busybox
    applets = (await run(busybox, "--list")).stdout.split()
    recipe.links |= {f"bin/{applet}": "busybox" for applet in applets if applet != "busybox"}
    binaries = [busybox]
    for program in PROGRAMS:
        path = _program(program)
        recipe.files[f"usr/bin/{program}"] = path
        recipe.links.pop(f"bin/{program}", None)
        binaries.append(path)
    binaries += await _collect_python(recipe, _interpreter())
    place_libraries(recipe, (await run("ldd", *binaries)).stdout)
    return recipe


def _program(name: str) -> str:
    packages = {"dig": "bind9-dnsutils", "nslookup": "bind9-dnsutils"}
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin")
    if found is None:
        package = packages.get(name, {"printenv": "coreutils"}.get(name, name))
        raise BuildError(f"{name} is missing on this machine: apt-get install {package}")
    return os.path.realpath(found)


def _interpreter() -> str:
    return os.path.realpath(sys.executable)


async def _collect_python(recipe: Recipe, interpreter: str) -> list[str]:
    """The interpreter and the modules that the server imports, as a prefix at /usr/local."""
    listed = await run(interpreter, "-I", "-S", "-c", LIST_MODULES, str(SERVER))
    if listed.code != 0:
        raise BuildError(f"{interpreter} cannot list its modules: {listed.stderr.strip()}")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    recipe.files[f"usr/local/bin/{version}"] = interpreter
    recipe.links["usr/local/bin/python3"] = version
    extensions = [interpreter]
    for line in listed.stdout.splitlines():
        module, _, file = line.partition("\t")
        if file.endswith(".so"):
            target = f"lib-dynload/{Path(file).name}"
            extensions.append(file)
        else:
            package = Path(file).name == "__init__.py"
            target = module.replace(".", "/") + ("/__init__.py" if package else ".py")
        recipe.files[f"usr/local/lib/{version}/{target}"] = file
    # Python looks for this directory to know its prefix, even when it is empty.
    recipe.files.setdefault(f"usr/local/lib/{version}/lib-dynload/README", str(SERVER))
    return extensions


def place_libraries(recipe: Recipe, ldd: str) -> None:
    """From the output of ``ldd``. Libraries keep their place, but for those outside the system's directories, which go
    beside libc, where the loader looks without being told.
    """
    named = dict(re.findall(r"^\s+(\S+) => (/\S+) \(0x", ldd, re.MULTILINE))
    loaders = re.findall(r"^\s+(/\S*ld-\S+) \(0x", ldd, re.MULTILINE)
    recipe.files |= {loader.lstrip("/"): os.path.realpath(loader) for loader in loaders}
    home = os.path.dirname(named.get("libc.so.6", "/usr/lib/libc.so.6"))
    for library, path in named.items():
        directory = os.path.dirname(path)
        if not directory.startswith(("/lib", "/usr/lib")):
            directory = home
        recipe.files[f"{directory}/{library}".lstrip("/")] = os.path.realpath(path)
    for library in NSS_LIBRARIES:  # loaded by name at run time, so no ldd tells of them
        if named and os.path.exists(f"{home}/{library}"):
            recipe.files[f"{home}/{library}".lstrip("/")] = os.path.realpath(f"{home}/{library}")


def inputs_digest(recipe: Recipe) -> str:
    """Changes with any path, link, size or time of change among the inputs, and with the recipe itself."""
    parts: list[object] = [RECIPE, VARIABLES, FILES, sorted(recipe.links.items())]
    for target, path in sorted(recipe.files.items()):
        status = os.stat(path)
        parts.append((target, path, status.st_size, status.st_mtime_ns))
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def write_archive(recipe: Recipe, path: Path, *, name: str) -> None:
    layer = path.with_name("layer.tar")
    with tarfile.open(layer, "w") as tar:
        for directory in DIRECTORIES:
            _add(tar, directory, kind=tarfile.DIRTYPE, mode=0o1777 if directory == "tmp" else 0o755)
        for target, text in FILES.items():
            _add(tar, target, data=text.encode())
        for target, file in sorted(recipe.files.items()):
            executable = os.access(file, os.X_OK)
            _add(tar, target, data=Path(file).read_bytes(), mode=0o755 if executable else 0o644)
        for target, link in sorted(recipe.links.items()):
            _add(tar, target, kind=tarfile.SYMTYPE, link=link, mode=0o777)
    config = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {
            "Env": list(VARIABLES),
            "Cmd": ["/usr/local/bin/python3", "-I", "-S", "-B", "/usr/local/lib/pod-test/server.py"],
            "WorkingDir": "/",
            "ExposedPorts": {"80/tcp": {}},
        },
    }
    write_oci_archive(path, name=name, config=config, layers=[layer])


def _add(
    tar: tarfile.TarFile,
    name: str,
    *,
    kind: bytes = tarfile.REGTYPE,
    data: bytes = b"",
    link: str = "",
    mode: int = 0o644,
) -> None:
    """Times are zero: the same files give the same layer."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode, member.size = kind, link, mode, len(data)
    tar.addfile(member, io.BytesIO(data))
