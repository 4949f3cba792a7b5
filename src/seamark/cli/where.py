"""Whose kernels a command looks at, and which API names what it finds there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from seamark.cli.datadir import DataDir, default_directory
from seamark.cli.errors import UserError
from seamark.linux import netns

NETWORK = "fabric"
"""The namespace that joins the nodes: no node itself."""

NodeOption = Annotated[str | None, typer.Option(help="One node alone.")]
DataOption = Annotated[Path | None, typer.Option("--data-dir", help="Where the cluster lives.")]
HereOption = Annotated[
    Path | None, typer.Option("--kubeconfig", help="Another cluster's: this machine is the node, by `seamark proxy`.")
]


@dataclass(frozen=True, slots=True)
class Where:
    """A cluster of this machine's (``data_dir``), or the node this machine is of another one's (``kubeconfig``)."""

    data_dir: Path | None
    kubeconfig: Path | None
    node: str | None

    def namespaces(self) -> dict[str, Path | None]:
        """The nodes whose kernels are asked."""
        if self.kubeconfig is not None:
            return {"here": None}
        data = self._data()
        settings = data.read_settings()
        if settings is None:
            raise UserError(f"--data-dir {data.root}: no cluster was made there; `seamark up` makes one")
        if settings.host:
            found: dict[str, Path | None] = dict.fromkeys(settings.node_names)
        else:
            pins = sorted(data.namespaces.iterdir()) if data.namespaces.is_dir() else []
            found = {pin.name: pin for pin in pins if pin.name != NETWORK and netns.exists(pin)}
        if self.node is not None and self.node not in found:
            raise UserError(f"no node {self.node} runs here; there are: {', '.join(found) or 'none'}")
        return {name: pin for name, pin in found.items() if self.node in (None, name)}

    @property
    def cluster_domain(self) -> str:
        settings = None if self.kubeconfig is not None else self._data().read_settings()
        return settings.cluster_domain if settings else "cluster.local"

    def access(self) -> Path:
        return self.kubeconfig or self._data().kubeconfig

    def _data(self) -> DataDir:
        return DataDir((self.data_dir or default_directory()).absolute())
