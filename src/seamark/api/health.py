"""/version, /healthz, /livez, /readyz: what may be asked without credentials."""

from __future__ import annotations

import platform
from typing import Any

from seamark.api.config import SERVER_VERSION
from seamark.api.core import Core
from seamark.api.respond import respond_json, respond_text
from seamark.api.routing import method_not_allowed
from seamark.machinery.wire import Request, Response

CHECKED = ("healthz", "livez", "readyz")
CHECKS = ("ping", "store")


def render_version() -> dict[str, Any]:
    major, minor = SERVER_VERSION.removeprefix("v").split(".")[:2]
    return {
        "major": major,
        "minor": minor,
        "gitVersion": SERVER_VERSION,
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": f"{platform.python_implementation().lower()}{platform.python_version()}",
        "platform": f"{platform.system().lower()}/{platform.machine()}",
    }


async def health(core: Core, request: Request) -> Response | None:
    """None when the path is none of these."""
    head, *rest = request.path.strip("/").split("/")
    if (head != "version" or rest) and (head not in CHECKED or len(rest) > 1):
        return None
    if request.method not in ("GET", "HEAD"):
        raise method_not_allowed()
    if head == "version":
        return respond_json(render_version())
    if rest and rest[0] not in CHECKS:
        return None
    await core.store.revision()  # raises where the store cannot answer, which is a 500
    if request.flag("verbose") or request.params("verbose") == ("",):
        lines = [f"[+]{check} ok" for check in CHECKS]
        return respond_text("\n".join([*lines, f"{head} check passed", ""]))
    return respond_text("ok")
