"""Options of ``seamark up`` as settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seamark.cli.errors import UserError
from seamark.cli.settings import Given
from seamark.cli.upoptions import parse_given

NOTHING = {"isolated": False, "host": False, "insecure_registry": None, "registry_mirror": None, "image_gc": None}


@pytest.mark.parametrize(
    ("said", "given"),
    [
        ({}, Given()),
        ({"nodes": 0, "controllers": "*"}, Given(nodes=0, controllers="*")),
        ({"host": True}, Given(host=True)),
        ({"isolated": True}, Given(host=False)),
        ({"insecure_registry": ["a:1", "b"]}, Given(insecure_registries=("a:1", "b"))),
        ({"image_gc": "80,70"}, Given(image_gc=(80, 70))),
        ({"static_pods": Path("/pods")}, Given(static_pods="/pods")),
        ({"detach": True, "data_dir": Path("x")}, Given()),
    ],
)
def test_given(said: dict[str, Any], given: Given) -> None:
    assert parse_given({**NOTHING, **said}) == given


@pytest.mark.parametrize("said", [{"image_gc": "80"}, {"isolated": True, "host": True}])
def test_refused(said: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        parse_given({**NOTHING, **said})
