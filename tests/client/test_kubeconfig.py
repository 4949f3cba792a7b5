"""Kubeconfig files as users have them, and what is wrong with the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from seamark.client.kubeconfig import KubeconfigError, in_cluster, load_kubeconfig

WHOLE = """
apiVersion: v1
kind: Config
current-context: one
contexts:
- {name: one, context: {cluster: c, user: admin, namespace: shop}}
- {name: two, context: {cluster: files, user: files}}
- {name: nobody, context: {cluster: c}}
- {name: lost, context: {cluster: gone, user: admin}}
- {name: plugin, context: {cluster: c, user: plugin}}
clusters:
- {name: c, cluster: {server: "https://127.0.0.1:6443", certificate-authority-data: Y2E=, tls-server-name: kubernetes}}
- {name: files, cluster: {server: "https://h", certificate-authority: ca.pem, insecure-skip-tls-verify: true}}
users:
- {name: admin, user: {client-certificate-data: Y2VydA==, client-key-data: a2V5}}
- {name: files, user: {client-certificate: c.pem, client-key: k.pem, tokenFile: token}}
- {name: plugin, user: {exec: {command: aws}}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "config").write_text(WHOLE)
    for name in ("ca.pem", "c.pem", "k.pem"):
        (tmp_path / name).write_text(name)
    return tmp_path / "config"


def test_current_context_with_inline_data(config: Path) -> None:
    access = load_kubeconfig(config)
    assert (access.base_url, access.ca, access.server_name) == ("https://127.0.0.1:6443", b"ca", "kubernetes")
    assert (access.credentials.certificate, access.credentials.key, access.namespace) == (b"cert", b"key", "shop")


def test_named_context_with_files_beside_the_config(config: Path) -> None:
    access = load_kubeconfig(config, "two")
    assert (access.ca, access.credentials.certificate, access.credentials.key) == (b"ca.pem", b"c.pem", b"k.pem")
    assert access.credentials.token_file == config.parent / "token"
    assert access.insecure


def test_a_token_file_goes_before_a_token_and_is_read_each_time(config: Path) -> None:
    config.write_text(WHOLE.replace("tokenFile: token", "tokenFile: token, token: written"))
    credentials = load_kubeconfig(config, "two").credentials
    assert credentials.authorization() == "Bearer written", "the file is not there yet"
    for token in ("first", "second"):
        (config.parent / "token").write_text(f"{token}\n")
        assert credentials.authorization() == f"Bearer {token}"


def test_context_without_user_is_anonymous(config: Path) -> None:
    assert load_kubeconfig(config, "nobody").credentials.authorization() == ""


@pytest.mark.parametrize(
    ("text", "context", "says"),
    [
        pytest.param(WHOLE, "three", "no context is named 'three'", id="no-context"),
        pytest.param(WHOLE, "lost", "no cluster is named 'gone'", id="no-cluster"),
        pytest.param(WHOLE, "plugin", "user 'plugin': exec is not supported", id="exec"),
        pytest.param(WHOLE.replace("Y2E=", "Y-E"), None, "certificate-authority-data: not base64", id="base64"),
        pytest.param(WHOLE.replace("ca.pem", "x.pem"), "two", "certificate-authority: .*x.pem: No such", id="file"),
        pytest.param("a: [", None, "not YAML", id="yaml"),
        pytest.param("- a", None, "must hold a Config, not list", id="list"),
        pytest.param("kind: Config", None, "current-context is not set", id="empty"),
    ],
)
def test_bad_config_names_file_and_field(config: Path, text: str, context: str | None, says: str) -> None:
    config.write_text(text)
    with pytest.raises(KubeconfigError, match=f"config: .*{says}"):
        load_kubeconfig(config, context)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="nowhere: No such file"):
        load_kubeconfig(tmp_path / "nowhere")


def test_in_cluster_reads_the_service_account(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(b"ca")
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "namespace").write_text("kube-system")
    environ = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    access = in_cluster(environ, directory=tmp_path)
    assert (access.base_url, access.ca, access.namespace) == ("https://10.96.0.1:443", b"ca", "kube-system")
    assert access.credentials.authorization() == "Bearer secret"
    assert (
        in_cluster({**environ, "KUBERNETES_SERVICE_HOST": "fd00::1"}, directory=tmp_path).base_url
        == "https://[fd00::1]:443"
    )


def test_in_cluster_outside_says_why(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="this is no pod"):
        in_cluster({}, directory=tmp_path)
    with pytest.raises(KubeconfigError, match="no service account is mounted"):
        in_cluster({"KUBERNETES_SERVICE_HOST": "h", "KUBERNETES_SERVICE_PORT": "1"}, directory=tmp_path)
