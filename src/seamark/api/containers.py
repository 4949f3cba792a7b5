"""A pod's streams: which node and container a log or exec request means (pure but for the look-ups it is given)."""

from __future__ import annotations

from seamark.api.core import Call, Core
from seamark.api.objects import Obj, unpack_entry
from seamark.api.writes import missing
from seamark.machinery.status import StatusError, bad_request
from seamark.machinery.streams import NodeStreams

_LISTS = ("containers", "initContainers", "ephemeralContainers")


async def find_pod(core: Core, call: Call) -> Obj:
    entry = await core.store.get(key=call.target.key)
    if entry is None:
        raise missing(call.target)
    return unpack_entry(entry)


def find_node(core: Core, pod: Obj) -> NodeStreams:
    """Raises 503 for a node that is not there to be asked."""
    name = (pod.get("spec") or {}).get("nodeName", "")
    found = core.nodes(name)
    if found is None:
        message = f'pod "{pod["metadata"]["name"]}": its node "{name}" is not connected to this API server'
        raise StatusError(503, "ServiceUnavailable", message)
    return found


def select_container(pod: Obj, asked: str) -> str:
    """The container asked for, or the only one. Raises 400 naming the choice."""
    spec, name = pod.get("spec") or {}, pod["metadata"]["name"]
    names = {field: [c["name"] for c in spec.get(field) or ()] for field in _LISTS}
    if asked:
        if not any(asked in found for found in names.values()):
            raise bad_request(f"container {asked} is not valid for pod {name}")
        return asked
    if len(names["containers"]) == 1:
        return str(names["containers"][0])
    choice = f"choose one of: [{' '.join(names['containers'])}]"
    if names["initContainers"]:
        choice += f" or one of the init containers: [{' '.join(names['initContainers'])}]"
    raise bad_request(f"a container name must be specified for pod {name}, {choice}")
