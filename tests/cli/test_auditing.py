"""The audit log as a user asks for it: files that cannot be used are named, with what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from seamark.cli.auditing import open_audit
from seamark.cli.errors import UserError
from seamark.cli.settings import Settings
from seamark.testing.clock import FakeClock

GOOD = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n"


def settings(tmp_path: Path, policy: str | None) -> Settings:
    if policy is not None:
        (tmp_path / "policy.yaml").write_text(policy)
    return Settings(audit_log_path=str(tmp_path / "audit.log"), audit_policy_file=str(tmp_path / "policy.yaml"))


def test_off(clock: FakeClock) -> None:
    assert open_audit(Settings(), clock) is None


def test_on(tmp_path: Path, clock: FakeClock) -> None:
    audit = open_audit(settings(tmp_path, GOOD), clock)
    assert audit is not None
    audit.write(b"{}\n")
    assert (tmp_path / "audit.log").read_bytes() == b"{}\n"


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        pytest.param(None, "No such file", id="missing"),
        pytest.param("a: [", "yaml: line 2", id="yaml"),
        pytest.param("", "Expected `object`", id="empty"),
        pytest.param(GOOD.replace("Metadata", "Everything"), "Invalid enum value 'Everything'", id="level"),
    ],
)
def test_a_bad_policy_is_told(tmp_path: Path, clock: FakeClock, policy: str | None, text: str) -> None:
    with pytest.raises(UserError, match=text):
        open_audit(settings(tmp_path, policy), clock)


def test_a_log_that_cannot_be_written_is_told(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "audit.log").mkdir()
    with pytest.raises(UserError, match="--audit-log-path"):
        open_audit(settings(tmp_path, GOOD), clock)
