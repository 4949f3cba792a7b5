"""``seamark explain``: why something is as it is. Each question is a module of its own; nothing is changed."""

from __future__ import annotations

import typer

from seamark.cli.explainconn import conn
from seamark.cli.explaindns import dns

app = typer.Typer(no_args_is_help=True, help="Why it is so: asked of the objects, the tables and the kernel.")
app.command("conn")(conn)
app.command("dns")(dns)


@app.callback()
def root() -> None:
    """Why it is so.

    \b
    Examples:
      seamark explain conn default/client web:http
      seamark explain dns web --from shop/client
    """
