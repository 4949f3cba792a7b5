"""Sysctls of a pod, in Kubernetes' words."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.resources.core.sysctl_validation import validate_sysctls

SHARED = "may not be specified when"


@pytest.mark.parametrize(
    ("names", "more", "wrong"),
    [
        (["kernel.shmmax", "safe-and-unsafe", "net/ipv4/conf/eth0.1/forwarding"], {}, []),
        (["foo-", "kernel.shmmax", "bar.."], {}, [(0, 'Invalid value: "foo-"'), (2, 'Invalid value: "bar.."')]),
        (["a" * 254], {}, [(0, "must have at most 253 characters and match regex ^(")]),
        ([""], {}, [(0, "Required value")]),
        (["a.b", "a.b"], {}, [(1, 'Duplicate value: "a.b"')]),
        (["net.ipv4.ip_forward", "kernel.msgmax"], {"hostNetwork": True}, [(0, f"{SHARED} 'hostNetwork' is true")]),
        (["net/core/somaxconn"], {"hostNetwork": True}, [(0, f"{SHARED} 'hostNetwork' is true")]),
        (["kernel.msgmax", "net.a", "fs.mqueue.x", "kernel.semx"], {"hostIPC": True}, [(0, SHARED), (2, SHARED)]),
    ],
)
def test_sysctls(names: list[str], more: dict[str, Any], wrong: list[tuple[int, str]]) -> None:
    spec = {"securityContext": {"sysctls": [{"name": name, "value": "1"} for name in names]}, **more}
    causes = validate_sysctls("spec", spec)
    assert [cause.field for cause in causes] == [f"spec.securityContext.sysctls[{i}].name" for i, _ in wrong]
    assert all(text in cause.message for cause, (_, text) in zip(causes, wrong, strict=True))


def test_none_is_none() -> None:
    assert validate_sysctls("spec", {}) == []
