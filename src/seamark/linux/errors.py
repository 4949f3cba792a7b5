"""What programs of the system refuse, under one name, so that who has to go on need not know (or load) them all."""

from __future__ import annotations


class RefusedError(Exception):
    """nft, iptables, ip or the kernel's IPVS refused, or is not there: says what it said."""
