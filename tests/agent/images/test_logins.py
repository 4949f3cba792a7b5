"""Which credentials of Docker configurations an image is pulled with."""

from __future__ import annotations

import base64
import json

import pytest

from seamark.agent.images.distribution import Credentials
from seamark.agent.images.logins import select_credentials


def entry(user: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:p:w".encode()).decode()}


CONFIG = json.dumps(
    {
        "auths": {
            "https://index.docker.io/v1/": entry("hub"),
            "reg.example": entry("whole"),
            "reg.example/team": entry("team"),
            "*.corp.example:5000": {"username": "glob", "password": "p:w"},
            "bad.example": {"auth": "&&&"},
        }
    }
).encode()


@pytest.mark.parametrize(
    ("repository", "user"),
    [
        ("docker.io/library/nginx", "hub"),
        ("reg.example/web", "whole"),
        ("reg.example/team/web", "team"),
        ("reg.example/teams/web", "whole"),
        ("a.corp.example:5000/web", "glob"),
        ("a.b.corp.example:5000/web", None),
        ("other.example/web", None),
        ("bad.example/web", None),
    ],
)
def test_the_longest_entry_that_fits_counts(repository: str, user: str | None) -> None:
    wanted = Credentials(user, "p:w") if user else None
    assert select_credentials([b"{", b"[]", b'{"auths": 3}', CONFIG], repository) == wanted


def test_the_older_form_has_no_auths_and_no_password_is_shown() -> None:
    found = select_credentials([json.dumps({"reg.example": entry("me")}).encode()], "reg.example/x")
    assert found == Credentials("me", "p:w")
    assert "p:w" not in repr(found)
