"""The formats of strings in schemas, as kube-openapi's strfmt knows them; others are not looked at."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from seamark.machinery.structural.pattern import matches

_LABEL = r"[a-zA-Z0-9\p{S}\p{L}]"
_HOSTNAME = (
    rf"^({_LABEL}((-?[a-zA-Z0-9\p{{S}}\p{{L}}]{{0,62}})?)|"
    rf"({_LABEL}(([a-zA-Z0-9-\p{{S}}\p{{L}}]{{0,61}}{_LABEL})?)(\.)){{1,}}([a-zA-Z\p{{L}}]){{2,63}})$"
)
_URI_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):(.*)", re.DOTALL)
_AUTHORITY = re.compile(r"([^@]*@)?(\[[0-9a-fA-F:.%]+\]|[^\[\]:\s<>\"`^{|}\\]*)(:\d*)?", re.DOTALL)
_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ADDRESS = rf'(?:{_ATOM}(?:\.{_ATOM})*|"(?:[^"\\]|\\.)+")@(?:{_ATOM}(?:\.{_ATOM})*|\[[^\[\]]+\])'
_DURATION = re.compile(r"[-+]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)")
_LOOSE_DURATION = re.compile(r"(\d+)\s*([A-Za-zµ]+)")
_UNITS = (
    ("ns", "nano"),
    ("us", "µs", "micro"),
    ("ms", "milli"),
    ("s", "sec"),
    ("m", "min"),
    ("h", "hr", "hour"),
    ("d", "day"),
    ("w", "wk", "week"),
)
_COLOUR = r"(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])"
_CARD = (
    r"(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|"
    r"3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35\d{3})\d{11})"
)
_UUID = "[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?%s[0-9a-fA-F]{3}-?%s[0-9a-fA-F]{3}-?[0-9a-fA-F]{12}"
_ANY, _VARIANT = "[0-9a-fA-F]", "[89abAB]"
_SHORT_NAME = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"


def _fits(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern, re.ASCII)
    return lambda text: compiled.fullmatch(text) is not None


def _is_uri(text: str) -> bool:
    """As Go's url.ParseRequestURI: an absolute URI or an absolute path."""
    if not text or any(ord(char) < 0x20 or ord(char) == 0x7F for char in text):
        return False
    if text == "*":
        return True
    found = _URI_SCHEME.fullmatch(text)
    rest = found[2] if found else text
    if not rest.startswith("/"):
        return found is not None
    rest = rest.partition("?")[0]
    if found and rest.startswith("//"):
        authority, slash, rest = rest[2:].partition("/")
        rest = slash + rest
        if _AUTHORITY.fullmatch(authority) is None or _BAD_ESCAPE.search(authority.rpartition("@")[0]):
            return False
    return _BAD_ESCAPE.search(rest) is None


def _is_hostname(text: str) -> bool:
    return (
        len(text.encode()) <= 255 and all(len(p.encode()) <= 63 for p in text.split(".")) and matches(_HOSTNAME, text)
    )


def _is_email(text: str) -> bool:
    found = re.fullmatch(rf"\s*(?:(?:{_ATOM}|\"(?:[^\"\\]|\\.)*\"|\s)*\s*<({_ADDRESS})>|({_ADDRESS}))\s*", text)
    return found is not None


def _parse(make: Callable[[str], Any], text: str) -> Any:
    try:
        return make(text)
    except ValueError:
        return None


def _without_zeros(text: str) -> str:
    """IPv4 numbers without the leading zeros that Go once took."""
    return re.sub(r"(?<![0-9a-fA-F:])0+(?=\d+(?:\.|$|/))|(?<=\.)0+(?=\d)", "", text)


def _is_ipv4(text: str) -> bool:
    return "." in text and "%" not in text and _parse(ipaddress.ip_address, _without_zeros(text)) is not None


def _is_ipv6(text: str) -> bool:
    return ":" in text and "%" not in text and _parse(ipaddress.ip_address, text) is not None


def _is_cidr(text: str) -> bool:
    address, slash, bits = text.partition("/")
    if not slash or not bits.isascii() or not bits.isdecimal() or "%" in text:
        return False
    return _parse(lambda given: ipaddress.ip_interface(given), f"{_without_zeros(address)}/{int(bits)}") is not None


def _is_mac(text: str) -> bool:
    """6, 8 or 20 bytes, in twos with colons or dashes or in fours with dots."""
    for separator, digits in ((":", 2), ("-", 2), (".", 4)):
        parts = text.split(separator)
        if len(parts) * digits // 2 in (6, 8, 20) and all(re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", p) for p in parts):
            return True
    return False


def _is_isbn10(text: str) -> bool:
    plain = re.sub(r"[\s-]+", "", text)
    if not re.fullmatch(r"[0-9]{9}X|[0-9]{10}", plain):
        return False
    numbers = [10 if char == "X" else int(char) for char in plain]
    return sum(weight * number for weight, number in enumerate(numbers, 1)) % 11 == 0


def _is_isbn13(text: str) -> bool:
    plain = re.sub(r"[\s-]+", "", text)
    if not re.fullmatch(r"[0-9]{13}", plain):
        return False
    return sum((1, 3)[i % 2] * int(char) for i, char in enumerate(plain[:12])) % 10 == (10 - int(plain[12])) % 10


def _is_creditcard(text: str) -> bool:
    plain = re.sub("[^0-9]+", "", text)
    if not re.fullmatch(_CARD, plain):
        return False
    doubled = [int(char) * (1 + i % 2) for i, char in enumerate(reversed(plain))]
    return sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0


def _is_date(text: str) -> bool:
    return (
        re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII) is not None and _parse(date.fromisoformat, text) is not None
    )


def _is_datetime(text: str) -> bool:
    parts = text.lower().split("t")
    if len(parts) < 2 or not _is_date(parts[0]):
        return False
    found = re.fullmatch(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))", parts[1])
    return found is not None and found[1] <= "23" and found[2] <= "59" and found[3] <= "59"


def _is_duration(text: str) -> bool:
    if _DURATION.fullmatch(text):
        return True
    units = [unit.lower() for _, unit in _LOOSE_DURATION.findall(text)]
    return any(unit in names or unit.startswith(names[-1]) for unit in units for names in _UNITS)


_CHECKS: Mapping[str, Callable[[str], bool]] = {
    "bsonobjectid": _fits("[0-9a-fA-F]{24}"),
    "uri": _is_uri,
    "email": _is_email,
    "hostname": _is_hostname,
    "ipv4": _is_ipv4,
    "ipv6": _is_ipv6,
    "cidr": _is_cidr,
    "mac": _is_mac,
    "uuid": _fits(_UUID % (_ANY, _ANY)),
    "uuid3": _fits(_UUID % ("3", _ANY)),
    "uuid4": _fits(_UUID % ("4", _VARIANT)),
    "uuid5": _fits(_UUID % ("5", _VARIANT)),
    "isbn": lambda text: _is_isbn10(text) or _is_isbn13(text),
    "isbn10": _is_isbn10,
    "isbn13": _is_isbn13,
    "creditcard": _is_creditcard,
    "ssn": lambda text: len(text) == 11 and re.fullmatch(r"\d{3}[- ]?\d{2}[- ]?\d{4}", text, re.ASCII) is not None,
    "hexcolor": _fits("#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})"),
    "rgbcolor": _fits(rf"rgb\(\s*{_COLOUR}\s*,\s*{_COLOUR}\s*,\s*{_COLOUR}\s*\)"),
    "byte": _fits("(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})"),
    "password": lambda text: True,
    "date": _is_date,
    "duration": _is_duration,
    "datetime": _is_datetime,
    "k8sshortname": lambda text: len(text) <= 63 and re.fullmatch(_SHORT_NAME, text) is not None,
    "k8slongname": lambda text: (
        len(text) <= 253 and re.fullmatch(rf"{_SHORT_NAME}(\.{_SHORT_NAME})*", text) is not None
    ),
}
_OF_NUMBERS = {"integer": ("int32", "int64"), "number": ("float", "double")}


def is_known_format(name: str, kind: str) -> bool:
    """``kind`` is the type of the schema; one that is not known is ignored in validation, with a warning."""
    if kind in ("", "string"):
        return name.replace("-", "") in _CHECKS
    return name in _OF_NUMBERS.get(kind, ())


def fits_format(name: str, text: str) -> bool:
    return _CHECKS[name.replace("-", "")](text)
