"""A real kube-apiserver for one run, on an etcd of its own: nothing else of Kubernetes, so nothing writes but us.

It runs as it is delivered: with the watch cache and streaming lists. Credentials are a token and a certificate of one
administrator, made for the run.
"""

from __future__ import annotations

import base64
import json
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from conformance.building import build_peers
from conformance.cluster import free_port
from seamark.client.client import Client
from seamark.client.kubeconfig import load_kubeconfig

TOKEN = "conformance"
START_SECONDS = 60


@dataclass
class KubeApi:
    """``stop`` and ``start`` the API server; what it stores stays."""

    root: Path
    port: int
    etcd_port: int
    options: tuple[str, ...]
    binary: Path
    authority: trustme.CA
    oldest: bool = False
    managed: bool = False
    """Whether controllers make the service accounts that pods want."""
    process: subprocess.Popen[bytes] | None = None
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.root / "kube-apiserver.log"

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "admin.kubeconfig"

    @property
    def files(self) -> tuple[Path, Path, Path]:
        """Certificate, key, authority: what ``tls`` of the plugin kubernetes takes."""
        return self.root / "client.crt", self.root / "client.key", self.root / "ca.crt"

    def kubeconfig_of_certificate(self, user: str, *groups: str) -> Path:
        """By a certificate of that user."""
        certificate = self.authority.issue_cert("client.test", common_name=user, organization_name=",".join(groups))
        chain, key = certificate.cert_chain_pems[0].bytes(), certificate.private_key_pem.bytes()
        found = self.root / f"{user.replace(':', '-')}.kubeconfig"
        self.write_kubeconfig(found, {"client-certificate-data": _base64(chain), "client-key-data": _base64(key)})
        return found

    def write_kubeconfig(self, file: Path, user: dict[str, str]) -> None:
        cluster = {"server": self.url, "certificate-authority-data": _base64((self.root / "ca.crt").read_bytes())}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "it",
            "clusters": [{"name": "it", "cluster": cluster}],
            "users": [{"name": "it", "user": user}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        }
        file.touch(0o600)
        file.write_text(json.dumps(document))

    def client(self) -> Client:
        return Client(load_kubeconfig(self.kubeconfig).transport())

    def start(self) -> None:
        arguments = [
            f"--etcd-servers=http://127.0.0.1:{self.etcd_port}",
            f"--secure-port={self.port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--service-cluster-ip-range=10.96.0.0/12",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self.root}/sa.key",
            f"--service-account-signing-key-file={self.root}/sa.key",
            f"--token-auth-file={self.root}/tokens.csv",
            f"--client-ca-file={self.root}/ca.crt",
            f"--tls-cert-file={self.root}/server.crt",
            f"--tls-private-key-file={self.root}/server.key",
            *([] if self.managed else ["--disable-admission-plugins=ServiceAccount"]),
            *self.options,
        ]
        with self.log.open("ab") as out:
            self.process = subprocess.Popen([self.binary, *arguments], stdout=out, stderr=out)
        until = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"kube-apiserver does not come up:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.2)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)
            self.process = None

    def get(self, path: str) -> str:
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {TOKEN}"})
        context = ssl.create_default_context(cafile=str(self.root / "ca.crt"))
        with urllib.request.urlopen(request, timeout=5, context=context) as response:
            return str(response.read().decode())

    def compact(self, revision: int) -> None:
        """Makes everything before that revision too old to watch from (410)."""
        url = f"http://127.0.0.1:{self.etcd_port}/v3/kv/compaction"
        body = json.dumps({"revision": str(revision)}).encode()
        urllib.request.urlopen(urllib.request.Request(url, body, method="POST"), timeout=5).close()

    def _is_ready(self) -> bool:
        try:
            return self.get("/readyz") == "ok"
        except OSError:
            return False


@contextmanager
def running_kube_apiserver(*options: str, oldest: bool = False, managed: bool = False) -> Iterator[KubeApi]:
    """Built if it is not there yet (tools/build-peers), with these options, until the block ends."""
    binary = build_peers("kube-apiserver", oldest=oldest) / "kube-apiserver"
    root = Path(tempfile.mkdtemp(prefix="seamark-kubeapi-"))
    authority = trustme.CA(key_type=trustme.KeyType.RSA)
    api = KubeApi(root, free_port(), free_port(), options, binary, authority, oldest=oldest, managed=managed)
    etcd = None
    try:
        _make_credentials(api)
        etcd = _start_etcd(api)
        api.start()
        yield api
    finally:
        api.stop()
        if etcd is not None:
            etcd.kill()
            etcd.wait(30)
        shutil.rmtree(root)


def _start_etcd(api: KubeApi) -> subprocess.Popen[bytes]:
    url, peer = f"http://127.0.0.1:{api.etcd_port}", f"http://127.0.0.1:{free_port()}"
    arguments = [
        f"--data-dir={api.root}/etcd",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--watch-progress-notify-interval=5s",  # as kubeadm starts it: what bookmarks come from
        "--unsafe-no-fsync",
    ]
    with (api.root / "etcd.log").open("wb") as out:
        return subprocess.Popen([build_peers("etcd") / "etcd", *arguments], stdout=out, stderr=out)


def _make_credentials(api: KubeApi) -> None:
    api.authority.cert_pem.write_to_path(api.root / "ca.crt")
    api.authority.private_key_pem.write_to_path(api.root / "ca.key")
    server = api.authority.issue_cert("127.0.0.1", "localhost", key_type=trustme.KeyType.RSA)
    server.cert_chain_pems[0].write_to_path(api.root / "server.crt")
    server.private_key_pem.write_to_path(api.root / "server.key")
    client = api.authority.issue_cert("admin.test", common_name="admin", organization_name="system:masters")
    client.cert_chain_pems[0].write_to_path(api.root / "client.crt")
    client.private_key_pem.write_to_path(api.root / "client.key")
    server.private_key_pem.write_to_path(api.root / "sa.key")
    (api.root / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n')
    api.write_kubeconfig(api.kubeconfig, {"token": TOKEN})


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@contextmanager
def running_control_plane(*options: str, ours: bool = False) -> Iterator[KubeApi]:
    """A kube-apiserver and a kube-controller-manager, or ``ours``: our controllers and our scheduler. No node."""
    with running_kube_apiserver(*options, managed=True) as api, ExitStack() as stack:
        for name, command in (_our_commands(api) if ours else _their_commands(api)).items():
            out = stack.enter_context((api.root / f"{name}.log").open("wb"))
            process = subprocess.Popen(command, stdout=out, stderr=out)
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)
        yield api


def _our_commands(api: KubeApi) -> dict[str, list[str]]:
    ca, key, manager = api.root / "ca.crt", api.root / "ca.key", api.kubeconfig
    files = [f"--root-ca-file={ca}", f"--cluster-signing-cert-file={ca}", f"--cluster-signing-key-file={key}"]
    scheduler = api.kubeconfig_of_certificate("system:kube-scheduler")
    seamark = [sys.executable, "-m", "seamark"]
    return {
        "controllers": [*seamark, "controllers", f"--kubeconfig={manager}", *files],
        "scheduler": [*seamark, "scheduler", f"--kubeconfig={scheduler}"],
    }


def _their_commands(api: KubeApi) -> dict[str, list[str]]:
    binary = build_peers("kube-controller-manager") / "kube-controller-manager"
    return {
        "kube-controller-manager": [
            str(binary),
            f"--kubeconfig={api.kubeconfig_of_certificate('system:kube-controller-manager')}",
            "--authentication-skip-lookup",
            "--bind-address=127.0.0.1",
            f"--secure-port={free_port()}",
            "--leader-elect=false",
            "--use-service-account-credentials",
            f"--service-account-private-key-file={api.root}/sa.key",
            f"--root-ca-file={api.root}/ca.crt",
            f"--cluster-signing-cert-file={api.root}/ca.crt",
            f"--cluster-signing-key-file={api.root}/ca.key",
        ]
    }
