"""What the judge reads out of the suite's log."""

from __future__ import annotations

import pytest
from conformance.network.groups import CONFORMANCE, select_groups
from conformance.network.suite import Verdict, parse_verdict

HEAD = "Running Suite: Kubernetes e2e suite\n\nWill run 1 of 7579 specs\n"
PASSED = f"""{HEAD}•

Ran 1 of 7579 Specs in 10.958 seconds
SUCCESS! -- 1 Passed | 0 Failed | 0 Pending | 7578 Skipped
PASS
"""
FAILED = f"""{HEAD}• [FAILED] [0.063 seconds]
[sig-network] Ingress API [It] should support it [Conformance]
  Timeline >>
  STEP: watching @ 11/24/26 13:18:36.595
  [FAILED] in [It] - k8s.io/kubernetes@v1.36.3/test/e2e/network/ingress.go:191 @ 11/24/26 13:18:36.596
  I1124 13:18:36.600000   29980 helper.go:125] Waiting up to 7m0s for all (but 0) nodes to be ready
  [FAILED] in [DeferCleanup (Each)] - k8s.io/kubernetes@v1.36.3/test/e2e/framework/debug/dump.go:139
  << Timeline

  [FAILED] while watching: not
  acceptable
  In [It] at: k8s.io/kubernetes@v1.36.3/test/e2e/network/ingress.go:191 @ 11/24/26 13:18:36.596

  There were additional failures detected.  To view them in detail run ginkgo -vv
------------------------------
SSSSSSSS

Ran 1 of 7579 Specs in 0.641 seconds
FAIL! -- 0 Passed | 1 Failed | 0 Pending | 7578 Skipped
"""
SKIPPED = f"""{HEAD}SSSS
S [SKIPPED] [0.010 seconds]
[sig-network] Topology Hints [BeforeEach] should distribute endpoints evenly [sig-network]
  [BeforeEach] k8s.io/kubernetes@v1.36.3/test/e2e/network/topology_hints.go:51
  [SKIPPED] Requires more than one zone
  In [BeforeEach] at: k8s.io/kubernetes@v1.36.3/test/e2e/network/topology_hints.go:52 @ 11/24/26 13:18:36.596
------------------------------
SSSS

Ran 0 of 7579 Specs in 0.100 seconds
SUCCESS! -- 0 Passed | 0 Failed | 0 Pending | 7579 Skipped
"""
SILENT = f"{HEAD}SS\nRan 0 of 7579 Specs in 0.1 seconds\nSUCCESS! -- 0 Passed | 0 Failed | 0 Pending | 7579 Skipped\n"


@pytest.mark.parametrize(
    ("log", "verdict"),
    [
        pytest.param(PASSED, Verdict("passed", 10.958), id="passed"),
        pytest.param(FAILED, Verdict("failed", 0.641, "while watching: not acceptable"), id="failed"),
        pytest.param(SKIPPED, Verdict("skipped", 0.1, "Requires more than one zone"), id="skipped"),
        pytest.param(SILENT, Verdict("skipped", 0.1, "by the test itself"), id="skipped without a word"),
        pytest.param(
            f"{HEAD}Killed\nSSSS\n---\n", Verdict("failed", 0.0, "the suite ended early: Killed"), id="killed"
        ),
        pytest.param("", Verdict("failed", 0.0, "the suite ended early:"), id="nothing at all"),
    ],
)
def test_verdicts(log: str, verdict: Verdict) -> None:
    assert parse_verdict(log) == verdict


def test_a_run_of_no_test_is_no_success() -> None:
    head = HEAD.replace("Will run 1 of", "Will run 0 of")  # nothing has that name
    log = f"{head}\nRan 0 of 7579 Specs in 0.100 seconds\nSUCCESS! -- 0 Passed | 0 Failed | 0 Pending | 7579 Skipped\n"
    assert parse_verdict(log).outcome == "failed"


def test_a_test_stands_in_one_group() -> None:
    one, other, cloud = (
        "[sig-network] Services should X [Conformance]",
        "[sig-network] Services should Y",
        "LoadBalancer",
    )
    groups = select_groups([one, other, f"{other} on {cloud}", "[sig-storage] Z"])
    assert {group: tests for group, tests in groups.items() if tests} == {CONFORMANCE: [one], "Services": [other]}
