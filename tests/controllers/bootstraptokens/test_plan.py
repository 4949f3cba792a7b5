"""Signatures of cluster-info: those of good tokens, and no others."""

from __future__ import annotations

from seamark.controllers.bootstraptokens.plan import plan_signatures

NOW = 1795514400.0  # 2026-11-24T10:00:00Z
# What k8s.io/cluster-bootstrap v0.36.3 gives for this content and token.
RECORDED = "eyJhbGciOiJIUzI1NiIsImtpZCI6ImFiY2RlZiJ9..K1chermAQEq0rdqy-ehj0VDfmA_ytv8Wzh9g26FldrE"


def token(**more: bytes) -> dict[str, bytes]:
    given = {"token-id": b"abcdef", "token-secret": b"0123456789abcdef", "usage-bootstrap-signing": b"true"}
    return {**given, **{name.replace("_", "-"): value for name, value in more.items()}}


def test_signature_is_that_of_kubernetes_and_stays() -> None:
    changed = plan_signatures({"kubeconfig": "apiVersion: v1\n"}, [token()], now=NOW)
    assert changed == {"jws-kubeconfig-abcdef": RECORDED}
    signed = {"kubeconfig": "apiVersion: v1\n", "jws-kubeconfig-abcdef": RECORDED}
    assert plan_signatures(signed, [token()], now=NOW) is None


def test_signature_goes_with_its_token() -> None:
    signed = {"kubeconfig": "apiVersion: v1\n", "jws-kubeconfig-abcdef": RECORDED}
    gone = {"jws-kubeconfig-abcdef": None}
    assert plan_signatures(signed, [], now=NOW) == gone
    assert plan_signatures(signed, [token(expiration=b"2026-11-24T09:59:59Z")], now=NOW) == gone
    assert plan_signatures(signed, [token(usage_bootstrap_signing=b"false")], now=NOW) == gone


def test_nothing_to_sign() -> None:
    assert plan_signatures({}, [token()], now=NOW) is None
