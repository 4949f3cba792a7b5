"""Which kernel settings of connection tracking a proxy wants (pure): kube-proxy's rules and defaults.

The size of the table belongs to the machine: in a network namespace it can be read and not written, which is said in
the log and harms nobody.
"""

from __future__ import annotations

from seamark.proxy.configdocument import Conntrack, Duration, parse_duration

MAX_PER_CORE, MIN, MOST = 32768, 131072, 1 << 20
ESTABLISHED, CLOSE_WAIT = 86400, 3600


def compile_sysctls(given: Conntrack, *, cpus: int) -> dict[str, str]:
    """Setting -> value. Raises ConfigError. A zero in the document leaves a setting alone."""
    wanted = {
        "max": _table_size(given, cpus),
        "tcp_timeout_established": _seconds(given.tcp_established_timeout, "tcpEstablishedTimeout", ESTABLISHED),
        "tcp_timeout_close_wait": _seconds(given.tcp_close_wait_timeout, "tcpCloseWaitTimeout", CLOSE_WAIT),
        "tcp_be_liberal": int(given.tcp_be_liberal),
        "udp_timeout": _seconds(given.udp_timeout, "udpTimeout", 0),
        "udp_timeout_stream": _seconds(given.udp_stream_timeout, "udpStreamTimeout", 0),
    }
    return {f"net.netfilter.nf_conntrack_{name}": str(value) for name, value in wanted.items() if value}


def _table_size(given: Conntrack, cpus: int) -> int:
    per_core = MAX_PER_CORE if given.max_per_core is None else given.max_per_core
    least = MIN if given.min is None else given.min
    return min(MOST, max(least, per_core * cpus)) if per_core > 0 else 0


def _seconds(text: Duration, field: str, default: int) -> int:
    """Kernel settings are whole seconds; less than one is one."""
    if text is None:
        return default
    seconds = parse_duration(text, f"conntrack.{field}")
    return max(1, int(seconds)) if seconds else 0
