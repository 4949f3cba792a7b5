"""Names, label keys and values, port names: which texts the API accepts, and what it says of the others.

Each ``validate_…`` gives the list of messages that Kubernetes prints (empty = valid), without the field, so that a
caller can put them behind its own path: k8s.io/apimachinery/pkg/util/validation. ``prefix=True`` is for a
generateName: a trailing dash is allowed there, since a suffix follows. Lengths are counted in bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

LABEL_MAX = 63
SUBDOMAIN_MAX = 253
PORT_NAME_MAX = 15

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_DNS1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_WILDCARD = rf"\*\.{_SUBDOMAIN}"
_KEY_NAME = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_KEY_NAME})?"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"

_LABEL_RE = re.compile(_LABEL)
_SUBDOMAIN_RE = re.compile(_SUBDOMAIN)
_DNS1035_RE = re.compile(_DNS1035)
_WILDCARD_RE = re.compile(_WILDCARD)
_KEY_NAME_RE = re.compile(_KEY_NAME)
_LABEL_VALUE_RE = re.compile(_LABEL_VALUE)
_CONFIG_KEY_RE = re.compile(_CONFIG_KEY)
_PORT_CHARS_RE = re.compile("[-a-z0-9]+")

_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character"
)
_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character"
)
_DNS1035_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character"
)
_WILDCARD_RULE = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of "
    "lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character"
)
_KEY_NAME_RULE = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)
_LABEL_VALUE_RULE = (
    f"a valid label must be an empty string or consist of {_KEY_NAME_RULE.removeprefix('must consist of ')}"
)
_CONFIG_KEY_RULE = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
_ENV_NAME_RULE = "a valid environment variable name must consist only of printable ASCII characters other than '='"
_KEY_EXAMPLES = ("MyName", "my.name", "123-abc")

NAME_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
NAME_SUFFIX_LENGTH = 5
_GENERATED_BASE_MAX = LABEL_MAX - NAME_SUFFIX_LENGTH


def _too_long(maximum: int, unit: str = "characters") -> str:
    """Label keys and values say bytes, all else characters; both mean bytes."""
    return f"must be no more than {maximum} {unit}"


@cache
def _pattern_message(rule: str, pattern: str, *examples: str) -> str:
    """``RULE (e.g. 'a',  or 'b', regex used for validation is 'P')``: the odd commas are Kubernetes'."""
    listed = " or ".join(f"'{example}', " for example in examples)
    return f"{rule} (e.g. {listed}regex used for validation is '{pattern}')"


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def without_trailing_dash(name: str) -> str:
    """A generateName ``web-`` is judged as if the last two characters were one letter, as the API does."""
    return f"{name[:-2]}a" if len(name) > 1 and name.endswith("-") else name


def validate_dns1123_label(value: str, *, prefix: bool = False) -> list[str]:
    value = without_trailing_dash(value) if prefix else value
    messages = [_too_long(LABEL_MAX)] if _size(value) > LABEL_MAX else []
    if not _LABEL_RE.fullmatch(value):
        dotted = _SUBDOMAIN_RE.fullmatch(value)
        message = _pattern_message(_LABEL_RULE, _LABEL, "my-name", "123-abc")
        messages.append("must not contain dots" if dotted else message)
    return messages


def validate_dns1123_subdomain(value: str, *, prefix: bool = False) -> list[str]:
    value = without_trailing_dash(value) if prefix else value
    messages = [_too_long(SUBDOMAIN_MAX)] if _size(value) > SUBDOMAIN_MAX else []
    if not _SUBDOMAIN_RE.fullmatch(value):
        messages.append(_pattern_message(_SUBDOMAIN_RULE, _SUBDOMAIN, "example.com"))
    return messages


def validate_wildcard_subdomain(value: str) -> list[str]:
    messages = [_too_long(SUBDOMAIN_MAX)] if _size(value) > SUBDOMAIN_MAX else []
    if not _WILDCARD_RE.fullmatch(value):
        messages.append(_pattern_message(_WILDCARD_RULE, _WILDCARD, "*.example.com"))
    return messages


def validate_dns1035_label(value: str, *, prefix: bool = False) -> list[str]:
    value = without_trailing_dash(value) if prefix else value
    messages = [_too_long(LABEL_MAX)] if _size(value) > LABEL_MAX else []
    if not _DNS1035_RE.fullmatch(value):
        messages.append(_pattern_message(_DNS1035_RULE, _DNS1035, "my-name", "abc-123"))
    return messages


def validate_path_segment(value: str, *, prefix: bool = False) -> list[str]:
    """What every name must be at least, since it becomes part of a URL (RBAC names, for instance, are only that)."""
    if value in (".", "..") and not prefix:
        return [f"may not be '{value}'"]
    return [f"may not contain '{char}'" for char in ("/", "%") if char in value]


def validate_qualified_name(value: str) -> list[str]:
    """A label or annotation key: ``[PREFIX/]NAME``."""
    rule = _pattern_message(_KEY_NAME_RULE, _KEY_NAME, *_KEY_EXAMPLES)
    match value.split("/"):
        case [name]:
            messages = []
        case [domain, name]:
            found = validate_dns1123_subdomain(domain) if domain else ["must be non-empty"]
            messages = [f"prefix part {message}" for message in found]
        case _:
            return [
                f"a valid label key {rule} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ]
    if not name:
        messages.append("name part must be non-empty")
    elif _size(name) > LABEL_MAX:
        messages.append(f"name part {_too_long(LABEL_MAX, 'bytes')}")
    if not _KEY_NAME_RE.fullmatch(name):
        messages.append(f"name part {rule}")
    return messages


def validate_label_value(value: str) -> list[str]:
    messages = [_too_long(LABEL_MAX, "bytes")] if _size(value) > LABEL_MAX else []
    if not _LABEL_VALUE_RE.fullmatch(value):
        messages.append(_pattern_message(_LABEL_VALUE_RULE, _LABEL_VALUE, "MyValue", "my_value", "12345"))
    return messages


def validate_port_name(value: str) -> list[str]:
    """IANA_SVC_NAME (RFC 6335), as container and Service target port names must be."""
    rules = (
        (_size(value) <= PORT_NAME_MAX, _too_long(PORT_NAME_MAX)),
        (_PORT_CHARS_RE.fullmatch(value), "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"),
        (any("a" <= char <= "z" for char in value), "must contain at least one letter (a-z)"),
        ("--" not in value, "must not contain consecutive hyphens"),
        (not value.startswith("-") and not value.endswith("-"), "must not begin or end with a hyphen"),
    )
    return [message for holds, message in rules if not holds]


def validate_port_number(value: int) -> list[str]:
    return validate_range(value, 1, 65535)


def validate_range(value: int, low: int, high: int) -> list[str]:
    return [] if low <= value <= high else [f"must be between {low} and {high}, inclusive"]


def validate_config_key(value: str) -> list[str]:
    """A key of a ConfigMap's or Secret's data: it becomes a file name."""
    messages = [_too_long(SUBDOMAIN_MAX)] if _size(value) > SUBDOMAIN_MAX else []
    if not _CONFIG_KEY_RE.fullmatch(value):
        messages.append(_pattern_message(_CONFIG_KEY_RULE, _CONFIG_KEY, "key.name", "KEY_NAME", "key-name"))
    if value in (".", ".."):
        messages.append(f"must not be '{value}'")
    elif value.startswith(".."):
        messages.append("must not start with '..'")
    return messages


def validate_env_name(value: str) -> list[str]:
    messages = [] if value else ["environment variable name must be non-empty"]
    if any(not " " <= char <= "~" or char == "=" for char in value):
        messages.append(_ENV_NAME_RULE)
    return messages


def generate_name(base: str, random_suffix: Callable[[int], str]) -> str:
    """``metadata.generateName`` made into a name; ``random_suffix(n)`` gives n characters of the API's alphabet."""
    return base[:_GENERATED_BASE_MAX] + random_suffix(NAME_SUFFIX_LENGTH)


def name_suffix(choice: Callable[[str], str]) -> Callable[[int], str]:
    """A ``random_suffix`` for ``generate_name`` out of a chooser of one character, such as ``random.choice``."""
    return lambda length: "".join(choice(NAME_SUFFIX_ALPHABET) for _ in range(length))
