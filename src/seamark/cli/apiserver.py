"""Flags of ``seamark up`` that are kube-apiserver's, under its names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AdvertiseAddress = Annotated[
    str | None,
    typer.Option(
        metavar="IP",
        help="Listen here as well, and lead the Service kubernetes to it; for --nodes 0, which has no node's.",
    ),
]
MaxRequests = Annotated[
    int | None, typer.Option("--max-requests-inflight", help="Reads under way at once; 0 = no limit (400).")
]
MaxMutating = Annotated[
    int | None, typer.Option("--max-mutating-requests-inflight", help="Writes under way at once; 0 = no limit (200).")
]
AuditLogPath = Annotated[
    Path | None, typer.Option("--audit-log-path", metavar="FILE", help="Tell every request here, as the policy says.")
]
AuditPolicyFile = Annotated[
    Path | None, typer.Option("--audit-policy-file", metavar="FILE", help="A Policy of audit.k8s.io/v1.")
]
AuditLogMaxsize = Annotated[
    int | None, typer.Option("--audit-log-maxsize", metavar="MB", help="Size at which the log is turned over (100).")
]
AuditLogMaxbackup = Annotated[
    int | None, typer.Option("--audit-log-maxbackup", help="How many old logs stay; 0 = all (0).")
]
