"""/metrics: what the API server tells of itself, by Kubernetes' names, for those whose role lets them ask.

Everything is measured when it is asked for (objects by resource, the process, the version): requests cost nothing more.
"""

from __future__ import annotations

from seamark.api.core import Core
from seamark.api.health import render_version
from seamark.api.routing import method_not_allowed
from seamark.machinery.wire import Request, Response

BUILD = {
    "major": "major",
    "minor": "minor",
    "git_version": "gitVersion",
    "git_commit": "gitCommit",
    "git_tree_state": "gitTreeState",
    "build_date": "buildDate",
    "go_version": "goVersion",
    "compiler": "compiler",
    "platform": "platform",
}


async def metrics(core: Core, request: Request) -> Response | None:
    """None for another path."""
    if request.path != "/metrics":
        return None
    if request.method not in ("GET", "HEAD"):
        raise method_not_allowed()
    from prometheus_client import CollectorRegistry, Gauge, ProcessCollector  # only who is asked needs it
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    build = Gauge("kubernetes_build_info", "The version.", list(BUILD), registry=registry)
    version = render_version()
    build.labels(*(version[field] for field in BUILD.values())).set(1)
    objects = Gauge("apiserver_resource_objects", "Stored objects.", ["group", "resource"], registry=registry)
    counts: dict[tuple[str, str], str] = {
        (r.gvr.group, r.gvr.resource): r.key_prefix for r in core.registry.rows if r.stored
    }
    for (group, resource), prefix in sorted(counts.items()):
        page = await core.store.list(prefix=prefix, limit=1)
        objects.labels(group, resource).set(len(page.entries) + page.remaining)
    return Response(200, generate_latest(registry), {"content-type": CONTENT_TYPE_PLAIN_0_0_4})
