"""``seamark image``: the images that the nodes of a data directory can run."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from seamark.agent.images.archive import ArchiveError
from seamark.agent.images.layers import LayerError
from seamark.agent.images.names import InvalidNameError, parse_image_name
from seamark.agent.images.podtest import BuildError, build_pod_test
from seamark.agent.images.store import ImageStore
from seamark.cli.datadir import DataDir
from seamark.cli.errors import UserError
from seamark.linux.clock import SystemClock


def run_build_pod_test(data: DataDir, name: str) -> None:
    try:
        parse_image_name(name)
        print(f"building {name} from this machine's programs …", flush=True)
        image = asyncio.run(build_pod_test(_store(data), name=name))
    except (InvalidNameError, BuildError, OSError) as error:
        raise UserError(f"image build-pod-test {name}: {error}") from None
    print(f"{image.name} {image.digest}")


def run_load(data: DataDir, file: Path) -> None:
    if not file.is_file():
        raise UserError(f"image load {file}: no such file")
    print(f"loading {file} …", flush=True)
    try:
        names = _store(data).load_archive(file)
    except (ArchiveError, LayerError, InvalidNameError, OSError) as error:
        raise UserError(f"image load {file}: {error}") from None
    for name in names:
        print(name)


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
