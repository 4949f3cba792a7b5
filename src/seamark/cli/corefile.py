"""``seamark corefile check|fmt|diff|import-kubedns``: Corefiles without a server."""

from __future__ import annotations

import difflib
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from seamark.cli.errors import UserError
from seamark.dns.corefile.format import format_corefile, render
from seamark.dns.corefile.kubedns import KubeDnsError, translate
from seamark.dns.corefile.lexer import CorefileError
from seamark.dns.corefile.parser import Corefile, parse_corefile
from seamark.dns.order import ORDER
from seamark.dns.server.instance import parse_server
from seamark.dns.server.loading import read_imports

app = typer.Typer(no_args_is_help=True, help="Check, format, compare and translate Corefiles; no server needed.")

FileArgument = Annotated[str, typer.Argument(metavar="FILE", help="A Corefile; - reads standard input.")]


@app.command()
def check(file: FileArgument) -> None:
    """Say whether a server would take a Corefile: file, line, column and word of the first fault.

    \b
    Examples:
      seamark corefile check /etc/coredns/Corefile
    """
    found = _parse(file)
    for warning in found.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    plugins = sum(len(block.directives) for block in found.blocks)
    print(f"{file}: {len(found.blocks)} server blocks, {plugins} plugins")


@app.command("fmt")
def format_(
    file: FileArgument,
    write: Annotated[bool, typer.Option("--write", "-w", help="Write the file instead of printing it.")] = False,
    is_check: Annotated[bool, typer.Option("--check", help="Print nothing; status 1 if it would change.")] = False,
) -> None:
    """Print a Corefile in the one form: indentation, spaces, blank lines. Comments stay.

    \b
    Examples:
      seamark corefile fmt -w Corefile
    """
    text = _read(file)
    try:
        parse_corefile(text, file=file, environment={}, read_imports=lambda pattern, importing: [("", "")])
    except CorefileError as error:
        raise UserError(f"corefile fmt: {error}") from error
    found = format_corefile(text)
    if is_check:
        raise typer.Exit(int(found != text))
    if not write or file == "-":
        print(found, end="")
    elif found != text:
        Path(file).write_text(found)


@app.command()
def diff(before: FileArgument, after: FileArgument) -> None:
    """Compare what two Corefiles mean: imports in place, plugins in the order queries meet them.

    Status 1 if they differ.

    \b
    Examples:
      seamark corefile diff Corefile Corefile.new
    """
    old, new = (render(_parse(file), ORDER) for file in (before, after))
    lines = list(difflib.unified_diff(old, new, before, after, lineterm=""))
    print("\n".join(lines), end="\n" if lines else "")
    raise typer.Exit(int(bool(lines)))


@app.command("import-kubedns")
def import_kubedns(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The ConfigMap kube-dns, YAML or JSON; - reads stdin.")],
    cluster_domain: Annotated[str, typer.Option(help="DNS domain of the cluster.")] = "cluster.local",
) -> None:
    """Turn the ConfigMap of kube-dns into a Corefile.

    \b
    Examples:
      kubectl -n kube-system get configmap kube-dns -o yaml | seamark corefile import-kubedns -
    """
    try:
        found = translate(_data(yaml.safe_load(_read(file))), cluster_domain)
    except yaml.YAMLError as error:
        raise UserError(f"corefile import-kubedns: {file}: not YAML: {error}") from error
    except KubeDnsError as error:
        raise UserError(f"corefile import-kubedns: {file}: {error}") from error
    for warning in found.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(found.text, end="")


def _data(document: Any) -> dict[str, str]:
    if not isinstance(document, dict) or document.get("kind") != "ConfigMap":
        kind = document.get("kind") if isinstance(document, dict) else type(document).__name__
        raise KubeDnsError(f"kind: {kind!r} is not ConfigMap")
    data = document.get("data") or {}
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        raise KubeDnsError("data: has to hold strings by key")
    return data


def _parse(file: str) -> Corefile:
    try:
        found = parse_corefile(_read(file), file=file, environment=dict(os.environ), read_imports=read_imports)
        parse_server(found)
    except CorefileError as error:
        raise UserError(f"corefile: {error}") from error
    return found


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text()
    except OSError as error:
        raise UserError(f"corefile: {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"corefile: {file}: not UTF-8: {error}") from error
