"""What a node's kubelet answers through ``nodes/NAME/proxy/``: its pods, their logs, its log files, that it is well.

Seamark's agent has no port of its own; the paths that people ask are answered here, from the registry and the agent.
"""

from __future__ import annotations

from html import escape
from urllib.parse import quote, unquote

from seamark.api.core import Core
from seamark.api.objects import unpack_entry
from seamark.api.respond import respond_json, respond_text
from seamark.api.subresources.log import respond_log
from seamark.machinery.gvr import PODS
from seamark.machinery.streams import LogRequest, NodeStreams
from seamark.machinery.wire import Request, Response


async def answer_kubelet(core: Core, request: Request, *, node: str, streams: NodeStreams, path: str) -> Response:
    """404 for what is not answered."""
    parts = path.strip("/").split("/")
    if request.method != "GET":
        return respond_text("method not allowed\n", status=405)
    if parts == ["healthz"]:
        return respond_text("ok")
    if parts == ["pods"]:
        return await _list_pods(core, node)
    if parts[0] == "containerLogs" and len(parts) == 4:
        tail = request.param("tailLines")
        log = LogRequest(
            parts[1],
            parts[2],
            parts[3],
            follow=request.flag("follow"),
            previous=request.flag("previous"),
            timestamps=request.flag("timestamps"),
            tail_lines=int(tail) if tail.isdecimal() else None,
        )
        return await respond_log(streams, log)
    if parts[0] == "logs":
        return await _show_log_file(streams, path)
    return respond_text("404 page not found\n", status=404)


async def _show_log_file(streams: NodeStreams, path: str) -> Response:
    """As a kubelet's file server shows its machine's logs: folders as pages of links."""
    found = await streams.log_file(unquote(path).strip("/").removeprefix("logs"))
    if found is None:
        return respond_text("404 page not found\n", status=404)
    if isinstance(found, bytes):
        return Response(200, found, {"content-type": "text/plain; charset=utf-8"})
    if not path.endswith("/"):
        return Response(301, headers={"location": f"{path.rpartition('/')[2]}/"})
    links = "".join(f'<a href="{quote(name)}">{escape(name)}</a>\n' for name in found.names)
    page = f'<!doctype html>\n<meta name="viewport" content="width=device-width">\n<pre>\n{links}</pre>\n'
    return Response(200, page.encode(), {"content-type": "text/html; charset=utf-8"})


async def _list_pods(core: Core, node: str) -> Response:
    page = await core.store.list(prefix=f"/registry/core/{PODS.resource}/")
    pods = [unpack_entry(entry) for entry in page.entries]
    found = [pod for pod in pods if (pod.get("spec") or {}).get("nodeName") == node]
    return respond_json({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": found})
