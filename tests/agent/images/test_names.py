"""Image names as the distribution specification and Docker's defaults have them."""

from __future__ import annotations

import pytest

from seamark.agent.images.names import ImageName, InvalidNameError, parse_image_name

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("nginx", ImageName("docker.io/library/nginx", "latest")),
        ("nginx:1.27", ImageName("docker.io/library/nginx", "1.27")),
        ("docker.io/nginx", ImageName("docker.io/library/nginx", "latest")),
        ("team/app", ImageName("docker.io/team/app", "latest")),
        ("192.168.10.33:80/k8s/pod_test:v0.1", ImageName("192.168.10.33:80/k8s/pod_test", "v0.1")),
        ("localhost/app", ImageName("localhost/app", "latest")),
        ("seamark.local/host", ImageName("seamark.local/host", "latest")),
        ("registry.k8s.io/pause@" + DIGEST, ImageName("registry.k8s.io/pause", "", DIGEST)),
        ("a.b/c:t@" + DIGEST, ImageName("a.b/c", "t", DIGEST)),
        ("EXAMPLE.com/app", ImageName("EXAMPLE.com/app", "latest")),
    ],
)
def test_valid(text: str, name: ImageName) -> None:
    assert parse_image_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "Nginx",
        "UPPER/app",
        "nginx:",
        "nginx:a b",
        "a//b",
        "a/../b",
        "-a",
        "nginx@sha256:12",
        "a:b:c",
        "x" * 300,
    ],
)
def test_invalid(text: str) -> None:
    with pytest.raises(InvalidNameError, match="image"):
        parse_image_name(text)


def test_the_hint_for_capitals() -> None:
    with pytest.raises(InvalidNameError, match="'Nginx' is no valid image name: repository names are lower case"):
        parse_image_name("Nginx")
