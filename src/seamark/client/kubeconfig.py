"""Where the API server is and who we are: from a kubeconfig file, or from inside a pod.

Reads the fields of ``v1.Config`` (client-go tools/clientcmd) that say address, authority, certificate and token.
Refuses what would need another program or a password (``exec``, ``auth-provider``, ``username``, ``proxy-url``):
better a clear word now than anonymous requests later.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from seamark.client.http import ANONYMOUS, Credentials, HttpTransport

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
REFUSED = {
    "cluster": ("proxy-url",),
    "user": ("exec", "auth-provider", "username", "password", "as", "as-groups", "as-uid"),
}


class KubeconfigError(Exception):
    """Says file, field and what to do."""


@dataclass(frozen=True, slots=True)
class ApiAccess:
    """All that a connection needs. ``namespace`` is the context's, empty where it names none."""

    base_url: str
    ca: bytes = b""
    credentials: Credentials = ANONYMOUS
    insecure: bool = False
    server_name: str = ""
    namespace: str = ""

    def transport(self, *, timeout: float = 30.0) -> HttpTransport:
        """Raises ValueError for an address or a certificate that is none."""
        return HttpTransport(
            self.base_url,
            ca=self.ca,
            credentials=self.credentials,
            insecure=self.insecure,
            server_name=self.server_name,
            timeout=timeout,
        )


def load_kubeconfig(path: Path | str, context: str | None = None) -> ApiAccess:
    """The named context, or the file's current one. Raises KubeconfigError."""
    path = Path(path)
    try:
        config = yaml.safe_load(path.read_text())
    except OSError as error:
        raise KubeconfigError(f"{path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise KubeconfigError(f"{path}: not YAML: {error}") from error
    if not isinstance(config, dict):
        raise KubeconfigError(f"{path}: must hold a Config, not {type(config).__name__}")
    return _Reader(path, config).access(context)


def in_cluster(environ: Mapping[str, str] | None = None, *, directory: Path = SERVICE_ACCOUNT) -> ApiAccess:
    """What a pod is given: the ``kubernetes`` Service's variables and the mounted service account."""
    environ = os.environ if environ is None else environ
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise KubeconfigError("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this is no pod")
    try:
        ca = (directory / "ca.crt").read_bytes()
        (directory / "token").read_text()
    except OSError as error:
        raise KubeconfigError(f"{error.filename}: {error.strerror}: no service account is mounted here") from error
    namespace = directory / "namespace"
    return ApiAccess(
        f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        ca=ca,
        credentials=Credentials(token_file=directory / "token"),
        namespace=namespace.read_text().strip() if namespace.exists() else "",
    )


class _Reader:
    def __init__(self, path: Path, config: dict[str, Any]) -> None:
        self._path = path
        self._config = config

    def access(self, name: str | None) -> ApiAccess:
        name = name or self._config.get("current-context") or ""
        if not name:
            raise KubeconfigError(f"{self._path}: current-context is not set: name a context")
        context = self._entry("context", name)
        cluster = self._entry("cluster", context.get("cluster", ""))
        user = self._entry("user", context["user"]) if context.get("user") else {}
        if not cluster.get("server"):
            raise KubeconfigError(f"{self._path}: cluster {context['cluster']!r}: server is required")
        return ApiAccess(
            str(cluster["server"]),
            ca=self._bytes(cluster, "certificate-authority"),
            credentials=self._credentials(user),
            insecure=bool(cluster.get("insecure-skip-tls-verify")),
            server_name=str(cluster.get("tls-server-name") or ""),
            namespace=str(context.get("namespace") or ""),
        )

    def _credentials(self, user: dict[str, Any]) -> Credentials:
        token_file = user.get("tokenFile")
        return Credentials(
            certificate=self._bytes(user, "client-certificate"),
            key=self._bytes(user, "client-key"),
            token=str(user.get("token") or ""),
            token_file=self._path.parent / token_file if token_file else None,
        )

    def _entry(self, kind: str, name: str) -> dict[str, Any]:
        for entry in self._config.get(f"{kind}s") or []:
            if isinstance(entry, dict) and entry.get("name") == name:
                found = entry.get(kind) or {}
                for field in REFUSED.get(kind, ()):
                    if found.get(field):
                        raise KubeconfigError(f"{self._path}: {kind} {name!r}: {field} is not supported")
                return dict(found)
        raise KubeconfigError(f"{self._path}: no {kind} is named {name!r}")

    def _bytes(self, entry: dict[str, Any], field: str) -> bytes:
        """``FIELD-data`` in base64, else the file that ``FIELD`` names, relative to the kubeconfig."""
        if data := entry.get(f"{field}-data"):
            try:
                return base64.b64decode(data, validate=True)
            except (binascii.Error, ValueError) as error:
                raise KubeconfigError(f"{self._path}: {field}-data: not base64: {error}") from error
        if name := entry.get(field):
            try:
                return (self._path.parent / str(name)).read_bytes()
            except OSError as error:
                raise KubeconfigError(f"{self._path}: {field}: {error.filename}: {error.strerror}") from error
        return b""
