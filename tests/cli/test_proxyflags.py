"""kube-proxy's flags: each is taken, and says what the field of the document says."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import yaml

from seamark.cli.proxy import main, read_settings
from seamark.cli.proxyflags import FLAGS, build_parser, compile_flags, unheard
from seamark.cli.proxylogging import JsonFormatter
from seamark.proxy.config import Address, ProxySettings
from seamark.proxy.configdocument import API_VERSION
from seamark.proxy.connecthook import WithConnectHook

THEIRS = [
    "bind-address",
    "bind-address-hard-fail",
    "boot-id-file",
    "cleanup",
    "cluster-cidr",
    "config",
    "config-sync-period",
    "conntrack-max-per-core",
    "conntrack-min",
    "conntrack-tcp-be-liberal",
    "conntrack-tcp-timeout-close-wait",
    "conntrack-tcp-timeout-established",
    "conntrack-udp-timeout",
    "conntrack-udp-timeout-stream",
    "detect-local-mode",
    "feature-gates",
    "healthz-bind-address",
    "healthz-port",
    "hostname-override",
    "init-only",
    "iptables-localhost-nodeports",
    "iptables-masquerade-bit",
    "iptables-min-sync-period",
    "iptables-sync-period",
    "ipvs-exclude-cidrs",
    "ipvs-min-sync-period",
    "ipvs-scheduler",
    "ipvs-strict-arp",
    "ipvs-sync-period",
    "ipvs-tcp-timeout",
    "ipvs-tcpfin-timeout",
    "ipvs-udp-timeout",
    "kube-api-burst",
    "kube-api-content-type",
    "kube-api-qps",
    "kubeconfig",
    "log-flush-frequency",
    "log-json-info-buffer-size",
    "log-json-split-stream",
    "log-text-info-buffer-size",
    "log-text-split-stream",
    "logging-format",
    "machine-id-file",
    "masquerade-all",
    "master",
    "metrics-bind-address",
    "metrics-port",
    "nodeport-addresses",
    "oom-score-adj",
    "pod-bridge-interface",
    "pod-interface-name-prefix",
    "profiling",
    "proxy-mode",
    "show-hidden-metrics-for-version",
    "v",
    "vmodule",
    "write-config-to",
]
"""Of kube-proxy 1.36.3: ``--help`` and the two that are deprecated; ``help`` and ``version`` aside."""


def parse(*argv: str) -> ProxySettings:
    return read_settings(build_parser().parse_args(["--hostname-override", "node1", *argv]))


def test_every_flag_of_kube_proxy_is_taken() -> None:
    assert sorted(flag.name for flag in FLAGS) == sorted(THEIRS)


@pytest.mark.parametrize(
    ("argv", "document"),
    [
        (["--masquerade-all"], {"nftables": {"masqueradeAll": True}}),
        (["--masquerade-all=false"], {"nftables": {"masqueradeAll": False}}),
        (["--proxy-mode=ipvs", "--masquerade-all=T"], {"mode": "ipvs", "iptables": {"masqueradeAll": True}}),
        (["--iptables-min-sync-period", "5s"], {"nftables": {"minSyncPeriod": "5s"}}),
        (["--nodeport-addresses=10.0.0.0/8,fd00::/8"], {"nodePortAddresses": ["10.0.0.0/8", "fd00::/8"]}),
        (["--feature-gates=A=true,B=false"], {"featureGates": {"A": True, "B": False}}),
        (
            ["--vmodule=a*=3,b=2"],
            {"logging": {"vmodule": [{"filePattern": "a*", "verbosity": 3}, {"filePattern": "b", "verbosity": 2}]}},
        ),
        (["-v=2", "--logging-format=json"], {"logging": {"verbosity": 2, "format": "json"}}),
        (["--conntrack-min", "7", "--conntrack-tcp-be-liberal"], {"conntrack": {"min": 7, "tcpBeLiberal": True}}),
        (["--log-text-split-stream"], {"logging": {"options": {"text": {"splitStream": True}}}}),
        (["--healthz-port=0"], {"healthzBindAddress": "0.0.0.0:0"}),
        (["--metrics-port=5", "--metrics-bind-address=127.0.0.1"], {"metricsBindAddress": "127.0.0.1:5"}),
        (["--healthz-port=5", "--healthz-bind-address=[::1]:7"], {"healthzBindAddress": "[::1]:7"}),
        (["--master=http://127.0.0.1:1", "--cleanup=false", "--boot-id-file=x"], {}),
    ],
)
def test_a_flag_is_the_field(argv: list[str], document: dict[str, Any]) -> None:
    found = compile_flags(build_parser().parse_args(argv))
    assert {name: value for name, value in found.items() if name not in ("apiVersion", "kind")} == document


def test_what_flags_come_to() -> None:
    found = parse(
        "--bind-address=192.0.2.1", "--iptables-masquerade-bit=3", "--healthz-port=0", "--cluster-cidr=fd00::/8"
    )
    assert (found.node.node_ips, found.node.masquerade_mark, found.healthz) == (("192.0.2.1",), 8, None)
    assert (found.metrics, found.node.pod_cidrs) == (Address("127.0.0.1", 10249), ("fd00::/8",))
    with pytest.raises(SystemExit):
        build_parser().parse_args(["--masquerade-all=perhaps"])


def test_the_hook_of_connect_is_ours_and_off_unless_asked_for(tmp_path: Path) -> None:
    assert not isinstance(parse().options.backend, WithConnectHook)
    file = tmp_path / "config.yaml"
    file.write_text(f"apiVersion: {API_VERSION}\nkind: KubeProxyConfiguration\n")
    for argv in ([], ["--config", str(file)]):
        backend = parse("--connect-hook=/sys/fs/cgroup/kubepods.slice", *argv).options.backend
        assert isinstance(backend, WithConnectHook)
        assert (backend.cgroup, backend.mode) == (Path("/sys/fs/cgroup/kubepods.slice"), "nftables")


def test_beside_a_file_the_file_decides(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    head = {"apiVersion": API_VERSION, "kind": "KubeProxyConfiguration"}
    file.write_text(yaml.safe_dump({**head, "clusterCIDR": "10.0.0.0/8", "hostnameOverride": "other", "newField": 1}))
    argv = ["--config", str(file), "--hostname-override=node1", "--cluster-cidr=11.0.0.0/8", "-v=5"]
    options = build_parser().parse_args([*argv, "--logging-format=json", "--machine-id-file=x"])
    found = read_settings(options)
    assert (found.node.name, found.node.pod_cidrs) == ("node1", ("10.0.0.0/8",))
    assert (found.document.logging.verbosity, found.document.logging.format) == (5, "json")
    assert found.warnings == ("unknown field newField",)
    assert unheard(options) == [
        "--machine-id-file: nobody reads it",
        "--cluster-cidr: beside --config the file decides",
    ]


def test_what_a_file_means_can_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.yaml"
    assert main(["--proxy-mode=iptables", "--hostname-override=node1", "--write-config-to", str(out)]) == 0
    assert capsys.readouterr().out == f"written: {out}\n"
    found = yaml.safe_load(out.read_text())
    assert (found["mode"], found["iptables"]["syncPeriod"], found["hostnameOverride"]) == ("iptables", "30s", "node1")


def test_lines_as_json() -> None:
    record = logging.LogRecord("seamark.proxy", logging.ERROR, "x.py", 7, "rules not applied node=%s", ("n",), None)
    found = json.loads(JsonFormatter().format(record))
    assert found["msg"] == "rules not applied node=n"
    assert found["caller"] == "seamark.proxy:7"
    assert "v" not in found
    record.levelno = logging.INFO
    assert json.loads(JsonFormatter().format(record))["v"] == 0
