"""``seamark status`` and ``seamark kubeconfig``: what runs, seen from outside through its own API."""

from __future__ import annotations

import datetime
import http.client
import ssl

import msgspec

from seamark.cli.datadir import DataDir
from seamark.cli.errors import UserError
from seamark.cli.pki import Pki, ensure_pki, render_kubeconfig
from seamark.cli.settings import Settings

DOWN = 3


def administrator_kubeconfig(data: DataDir, *, token: bool) -> str:
    settings, pki = _made(data)
    return render_kubeconfig(pki, f"https://127.0.0.1:{settings.port}", token=token)


def run_status(data: DataDir, *, output: str) -> int:
    """Prints and gives the exit status: 0 = answers, DOWN = not running or not answering."""
    if output not in ("text", "json"):
        raise UserError(f"status: --output {output}: text or json")
    settings, pki = _made(data)
    pid = data.running_pid()
    nodes = _nodes(settings, pki) if pid else None
    found = {
        "running": nodes is not None,
        "pid": pid,
        "server": f"https://127.0.0.1:{settings.port}",
        "dataDir": str(data.root),
        "nodes": nodes or [],
    }
    if output == "json":
        print(msgspec.json.format(msgspec.json.encode(found)).decode())
    elif nodes is None:
        print(f"down: {data.root}" + (f" (process {pid} does not answer)" if pid else ""))
    else:
        print(f"up: {found['server']}, process {pid}, {data.root}")
        for node in nodes:
            print(f"  {node['name']:<10} {'Ready' if node['ready'] else 'NotReady':<9} {node['pods']} pods")
    return DOWN if nodes is None else 0


def _made(data: DataDir) -> tuple[Settings, Pki]:
    settings = data.read_settings()
    if settings is None or not (data.pki / "ca.crt").exists():
        raise UserError(f"--data-dir {data.root}: no cluster was made there; `seamark up` makes one")
    return settings, ensure_pki(data.pki, server_names=(), now=datetime.datetime.now(datetime.UTC))


def _nodes(settings: Settings, pki: Pki) -> list[dict[str, object]] | None:
    """Nodes with their pod counts, None where the API server does not answer within two seconds."""
    try:
        nodes = _get(settings, pki, "/api/v1/nodes")
        pods = _get(settings, pki, "/api/v1/pods")
    except (OSError, http.client.HTTPException, msgspec.DecodeError):
        return None
    placed = [pod.get("spec", {}).get("nodeName") for pod in pods]
    return [
        {
            "name": node["metadata"]["name"],
            "ready": any(
                c["type"] == "Ready" and c["status"] == "True" for c in node.get("status", {}).get("conditions", [])
            ),
            "pods": placed.count(node["metadata"]["name"]),
        }
        for node in nodes
    ]


def _get(settings: Settings, pki: Pki, path: str) -> list[dict[str, dict[str, list[dict[str, str]]]]]:
    context = ssl.create_default_context(cafile=str(pki.ca_cert))
    connection = http.client.HTTPSConnection("127.0.0.1", settings.port, timeout=2, context=context)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {pki.admin_token}"})
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise http.client.HTTPException(f"HTTP {response.status}")
        return list(msgspec.json.decode(body).get("items") or [])
    finally:
        connection.close()
