"""The command line: ``seamark COMMAND``."""

from __future__ import annotations

import typer

import seamark

app = typer.Typer(name="seamark", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def root() -> None:
    """Kubernetes service discovery: registry, names, virtual IPs, environment variables."""


@app.command()
def version() -> None:
    """Print the version."""
    print(f"seamark {seamark.__version__}")


def main() -> None:
    app()
