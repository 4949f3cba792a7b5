"""``seamark image``: the images that the nodes of a data directory can run."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import msgspec

from seamark.agent.images.archive import ArchiveError
from seamark.agent.images.distribution import Credentials, ManifestError
from seamark.agent.images.layers import LayerError
from seamark.agent.images.layerstore import layers_in_use
from seamark.agent.images.names import InvalidNameError, parse_image_name
from seamark.agent.images.podtest import BuildError, build_pod_test
from seamark.agent.images.pull import Progress
from seamark.agent.images.registry import Registries, RegistryError
from seamark.agent.images.store import ImageStore
from seamark.cli.datadir import DataDir
from seamark.cli.errors import UserError
from seamark.cli.settings import check_registry, parse_mirror
from seamark.linux.clock import SystemClock

PASSWORD = "SEAMARK_REGISTRY_PASSWORD"


def run_build_pod_test(data: DataDir, name: str) -> None:
    try:
        parse_image_name(name)
        print(f"building {name} from this machine's programs …", flush=True)
        image = asyncio.run(build_pod_test(_store(data), name=name))
    except (InvalidNameError, BuildError, OSError) as error:
        raise UserError(f"image build-pod-test {name}: {error}") from None
    print(f"{image.name} {image.digest}")


def run_load(data: DataDir, file: Path) -> None:
    if not file.exists():
        raise UserError(f"image load {file}: no such file")
    print(f"loading {file} …", flush=True)
    try:
        names = _store(data).load_archive(file)
    except (ArchiveError, LayerError, InvalidNameError, OSError) as error:
        raise UserError(f"image load {file}: {error}") from None
    for name in names:
        print(name)


def run_save(data: DataDir, name: str, file: Path) -> None:
    try:
        _store(data).save(parse_image_name(name), file.absolute())
    except LookupError:
        raise UserError(
            f"image save {name}: not here; `seamark image list` shows what is (built-in ones stay)"
        ) from None
    except (InvalidNameError, OSError) as error:
        raise UserError(f"image save {name}: {error}") from None
    print(f"{file} {file.stat().st_size / 1e6:.1f} MB")


def run_build(data: DataDir, name: str, folder: Path, *, base: str, changes: dict[str, Any]) -> None:
    if not folder.is_dir():
        raise UserError(f"image build {name}: --folder {folder}: no such folder")
    for variable in changes["Env"] or ():
        if "=" not in variable:
            raise UserError(f"image build {name}: --env {variable}: not NAME=VALUE")
    try:
        parsed, below = parse_image_name(name), parse_image_name(base) if base else None
        digest = _store(data).build(parsed, folder.absolute(), base=below, changes=changes)
    except LookupError:
        raise UserError(f"image build {name}: --from {base}: not here; load or pull it first") from None
    except (InvalidNameError, LayerError, ArchiveError, OSError) as error:
        raise UserError(f"image build {name}: {error}") from None
    print(f"{parsed} {digest}")


@dataclass(frozen=True, slots=True)
class PullOptions:
    insecure: tuple[str, ...]
    username: str
    mirrors: tuple[str, ...] = ()


def run_pull(data: DataDir, names: list[str], options: PullOptions) -> None:
    """Plain registries and mirrors are those of the cluster's settings, and those said here."""
    kept = data.read_settings()
    insecure = {check_registry(registry) for registry in options.insecure}
    insecure |= set(kept.insecure_registries) if kept else set()
    mirrors = tuple(parse_mirror(mirror) for mirror in (*options.mirrors, *(kept.registry_mirrors if kept else ())))
    credentials = None
    if options.username:
        password = os.environ.get(PASSWORD)
        if password is None:
            raise UserError(f"image pull: --username {options.username}: set {PASSWORD} in the environment")
        credentials = Credentials(options.username, password)
    data.make()
    store = ImageStore(data.images, SystemClock(), registries=Registries(frozenset(insecure), mirrors))
    asyncio.run(_pull(store, names, credentials))


async def _pull(store: ImageStore, names: list[str], credentials: Credentials | None) -> None:
    for name in names:
        try:
            parsed = parse_image_name(name)
            print(f"pulling {parsed} …", flush=True)
            await store.pull(parsed, credentials=credentials, tell=PullMeter(sys.stdout))
        except (InvalidNameError, RegistryError, ManifestError, ArchiveError, LayerError) as error:
            raise UserError(f"image pull {name}: {error}") from None
        except OSError as error:
            raise UserError(f"image pull {name}: {error.strerror or error}") from None
        print(f"{parsed} {(await store.resolve(name, policy='Never')).digest}")


class PullMeter:
    """Layers as they arrive: on a terminal one line that moves, else one line for each that is whole."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._live = out.isatty()
        self._layers: dict[str, Progress] = {}

    def __call__(self, progress: Progress) -> None:
        self._layers[progress.digest] = progress
        whole = progress.done == progress.size
        if self._live:
            done = sum(layer.done for layer in self._layers.values())
            size = sum(layer.size for layer in self._layers.values())
            text = f"\r  {len(self._layers)} layer(s): {done / 1e6:.1f} of {size / 1e6:.1f} MB"
            self._out.write(text + ("\n" if done == size else ""))
        elif whole:
            self._out.write(f"  {progress.digest[7:19]}: {progress.size / 1e6:.1f} MB\n")
        self._out.flush()


def run_rm(data: DataDir, names: list[str]) -> None:
    store = ImageStore(data.images, SystemClock())
    for name in names:
        try:
            known = store.remove(parse_image_name(name))
        except (InvalidNameError, OSError) as error:
            raise UserError(f"image rm {name}: {error}") from None
        if not known:
            raise UserError(f"image rm {name}: not here; `seamark image list` shows what is")
        print(f"forgotten {name}")
    in_use = layers_in_use()
    if in_use is None:
        print("layers stay: what the machine's processes have mounted can only be seen as root")
        return
    gone, stay = store.collect_layers(in_use)
    print(f"{gone} layer(s) removed" + (f", {stay} stay: in use, or younger than ten minutes" if stay else ""))


def run_list(data: DataDir, *, output: str) -> None:
    if output not in ("text", "json"):
        raise UserError(f"image list: --output {output}: text or json")
    found = ImageStore(data.images, SystemClock()).list_images()
    if output == "json":
        print(msgspec.json.format(msgspec.json.encode(found)).decode())
        return
    print(f"{'IMAGE':<48} {'SIZE':>10}  DIGEST")
    for image in found:
        print(f"{image.name:<48} {image.size / 1e6:>7.1f} MB  {image.digest[:19]}")


def _store(data: DataDir) -> ImageStore:
    data.make()
    return ImageStore(data.images, SystemClock())
