"""Names against the messages of k8s.io/apimachinery 0.36.3."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from seamark.machinery import names

SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
DNS1035 = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
KEY = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
CONFIG_KEY = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)


@pytest.mark.parametrize(
    ("validate", "value", "messages"),
    [
        (names.validate_dns1123_subdomain, "web.example", []),
        (names.validate_dns1123_subdomain, "Web", [SUBDOMAIN]),
        (names.validate_dns1123_subdomain, "", [SUBDOMAIN]),
        (names.validate_dns1123_subdomain, "web\n", [SUBDOMAIN]),
        (names.validate_dns1123_subdomain, "a" * 254, ["must be no more than 253 characters"]),
        (names.validate_dns1123_label, "1-a", []),
        (names.validate_dns1123_label, "a.b", ["must not contain dots"]),
        (names.validate_dns1123_label, "a_b", [LABEL]),
        (names.validate_dns1123_label, "a" * 64, ["must be no more than 63 characters"]),
        (names.validate_dns1035_label, "web-1", []),
        (names.validate_dns1035_label, "1web", [DNS1035]),
        (names.validate_qualified_name, "app", []),
        (names.validate_qualified_name, "app.kubernetes.io/Name_1", []),
        (names.validate_qualified_name, "/app", ["prefix part must be non-empty"]),
        (names.validate_qualified_name, "x/", ["name part must be non-empty", f"name part {KEY}"]),
        (names.validate_qualified_name, "X/app", [f"prefix part {SUBDOMAIN}"]),
        (names.validate_qualified_name, "a" * 64, ["name part must be no more than 63 bytes"]),
        (
            names.validate_qualified_name,
            "a/b/c",
            [f"a valid label key {KEY} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"],
        ),
        (names.validate_label_value, "", []),
        (names.validate_label_value, "a_B.1", []),
        (names.validate_label_value, "a/b", [VALUE]),
        (names.validate_label_value, "a" * 64, ["must be no more than 63 bytes"]),
        (names.validate_port_name, "http-1", []),
        (names.validate_port_name, "80", ["must contain at least one letter (a-z)"]),
        (names.validate_port_name, "a--b", ["must not contain consecutive hyphens"]),
        (names.validate_port_name, "-a", ["must not begin or end with a hyphen"]),
        (names.validate_port_name, "a-name-too-long-for-a-port", ["must be no more than 15 characters"]),
        (
            names.validate_port_name,
            "HTTP",
            [
                "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
                "must contain at least one letter (a-z)",
            ],
        ),
        (names.validate_port_number, 80, []),
        (names.validate_port_number, 0, ["must be between 1 and 65535, inclusive"]),
        (names.validate_config_key, "a.b_C-1", []),
        (names.validate_config_key, "a/b", [CONFIG_KEY]),
        (names.validate_config_key, "..", ["must not be '..'"]),
        (names.validate_config_key, "..a", ["must not start with '..'"]),
        (names.validate_env_name, "MY VAR.1", []),
        (
            names.validate_env_name,
            "A=B",
            ["a valid environment variable name must consist only of printable ASCII characters other than '='"],
        ),
        (names.validate_path_segment, "system:node", []),
        (names.validate_path_segment, "..", ["may not be '..'"]),
        (names.validate_path_segment, "a/b%", ["may not contain '/'", "may not contain '%'"]),
        (names.validate_wildcard_subdomain, "*.example.com", []),
    ],
)
def test_messages(validate: Callable[[str], list[str]], value: str, messages: list[str]) -> None:
    assert validate(value) == messages


def test_a_prefix_may_end_in_a_dash() -> None:
    assert names.validate_dns1123_subdomain("web-", prefix=True) == []
    assert names.validate_dns1123_label("web-") == [LABEL]
    assert names.validate_dns1035_label("-", prefix=True) == [DNS1035]


def test_generated_names_are_at_most_a_label() -> None:
    suffix = names.name_suffix(lambda alphabet: alphabet[-1])
    assert names.generate_name("web-", suffix) == "web-99999"
    long = names.generate_name("a" * 80, suffix)
    assert long == "a" * 58 + "99999"
    assert names.validate_dns1123_label(long) == []
