"""What a server does with a packet by its header alone, before it is parsed (the rules of miekg/dns, as CoreDNS has).

Answers are dropped, so that two servers cannot answer one another for ever; opcodes other than QUERY and NOTIFY are
NOTIMP; counts no sane query has are FORMERR.
"""

from __future__ import annotations

import struct
from enum import Enum

import dns.opcode
import dns.rcode

HEADER = struct.Struct("!HHHHHH")


class Verdict(Enum):
    DROP = -1
    ACCEPT = 0
    FORMERR = int(dns.rcode.FORMERR)
    NOTIMP = int(dns.rcode.NOTIMP)


def judge(packet: bytes) -> Verdict:
    if len(packet) < HEADER.size:
        return Verdict.DROP
    _, flags, questions, answers, authorities, additionals = HEADER.unpack_from(packet)
    if flags & 0x8000:
        return Verdict.DROP
    if (flags >> 11) & 0xF not in (dns.opcode.QUERY, dns.opcode.NOTIFY):
        return Verdict.NOTIMP
    if questions != 1 or answers > 1 or authorities > 1 or additionals > 2:
        return Verdict.FORMERR
    return Verdict.ACCEPT
