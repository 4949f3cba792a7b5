"""docs/replace-kube-proxy.md says what works: its configuration is read, its commands parse, its table is true."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from seamark.cli.proxy import read_settings
from seamark.cli.proxyflags import build_parser
from seamark.proxy.backends import BACKENDS
from seamark.proxy.config import compile_settings
from seamark.proxy.configdocument import API_VERSION, parse_configuration
from seamark.proxy.loopback import WithLoopbackPorts

TEXT = Path(__file__).parents[2].joinpath("docs/replace-kube-proxy.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.DOTALL)
(CONFIG,) = (body for kind, body in BLOCKS if kind == "yaml")
COMMANDS = [
    line.removeprefix("seamark proxy ")
    for kind, body in BLOCKS
    if kind == "bash"
    for line in body.splitlines()
    if line.startswith("seamark proxy ")
]
HEAD = f"apiVersion: {API_VERSION}\nkind: KubeProxyConfiguration\n"


def test_the_configuration_is_honoured_whole() -> None:
    found = compile_settings(parse_configuration(CONFIG))
    assert found.warnings == ()
    assert found.options.backend.mode == "nftables"
    assert found.node.pod_cidrs == ("10.244.0.0/16",)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(command: str, tmp_path: Path) -> None:
    file = tmp_path / "config.conf"
    file.write_text(CONFIG)
    words = shlex.split(command.replace("/var/lib/kube-proxy/config.conf", str(file)))
    options = build_parser().parse_args(words)
    if not options.cleanup:
        assert read_settings(options).document.client_connection.kubeconfig == "/var/lib/kube-proxy/kubeconfig.conf"


def test_there_are_commands() -> None:
    assert len(COMMANDS) == 4


def test_what_the_table_says_of_modes_periods_and_sysctls() -> None:
    assert list(BACKENDS) == ["nftables", "iptables", "ipvs", "userspace"]
    found = compile_settings(parse_configuration(HEAD + "conntrack: {min: 200000}"))
    assert found.options.min_sync_period == 0
    assert found.options.sysctls["net.netfilter.nf_conntrack_max"] == "200000"
    on_loopback = compile_settings(parse_configuration(HEAD + "iptables: {localhostNodePorts: true}")).options.backend
    assert isinstance(on_loopback, WithLoopbackPorts)
