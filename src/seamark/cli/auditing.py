"""The audit log that ``seamark up`` was asked for."""

from __future__ import annotations

from pathlib import Path

import yaml

from seamark.api.audit.auditor import Audit
from seamark.api.audit.log import DEFAULT_SIZE, MEGABYTE, AuditLog
from seamark.api.audit.policy import PolicyError, parse_policy
from seamark.api.yamltext import decode_yaml, explain
from seamark.cli.errors import UserError
from seamark.cli.settings import Settings
from seamark.machinery.clock import Clock


def open_audit(settings: Settings, clock: Clock) -> Audit | None:
    """The audit that the settings ask for. Raises UserError for files that cannot be used."""
    if not settings.audit_log_path:
        return None
    policy = Path(settings.audit_policy_file)
    try:
        parsed = parse_policy(decode_yaml(policy.read_bytes()))
    except OSError as error:
        raise UserError(f"--audit-policy-file {policy}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"--audit-policy-file {policy}: {explain(error)}") from None
    except PolicyError as error:
        raise UserError(f"--audit-policy-file {policy}: {error}") from None
    path, size = Path(settings.audit_log_path), settings.audit_log_maxsize or DEFAULT_SIZE
    try:
        log = AuditLog(path, clock, size=size * MEGABYTE, backups=settings.audit_log_maxbackup)
    except OSError as error:
        raise UserError(f"--audit-log-path {path}: {error.strerror}") from None
    return Audit(parsed, log.write)
