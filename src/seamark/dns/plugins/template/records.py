"""Records out of text. Pure."""

from __future__ import annotations

import dns.name
import dns.rrset
import dns.ttl

TTL = 3600
CLASSES = frozenset({"IN", "CH", "HS"})


def parse_record(text: str) -> dns.rrset.RRset:
    """One record in zone-file form; TTL, class and last dots may be missing. Raises ValueError or DNSException."""
    owner, *words = text.split()
    ttl, rdclass = TTL, "IN"
    while words and (words[0].upper() in CLASSES or words[0][:1].isdecimal()):
        word = words.pop(0)
        if word.upper() in CLASSES:
            rdclass = word
        else:
            ttl = dns.ttl.from_text(word)
    if len(words) < 2:
        raise ValueError(f"'{text}' is not a record")
    data = text.split(words[0], 1)[1] if text.count(words[0]) == 1 else " ".join(words[1:])
    name, texts = dns.name.from_text(owner), [data.strip()]
    return dns.rrset.from_text_list(name, ttl, rdclass, words[0], texts, origin=dns.name.root, relativize=False)
