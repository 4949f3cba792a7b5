"""Image names: the reference grammar of the distribution specification, and the defaults that Docker made usual. Pure.

``nginx`` means ``docker.io/library/nginx:latest``; a first component with a dot, a colon or the word localhost is a
registry. Two spellings of one image are equal once normalized.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])"
_REFERENCE = re.compile(
    rf"(?P<repository>(?:(?P<domain>{_HOST}(?:\.{_HOST})*(?::[0-9]+)?)/)?(?P<path>{_COMPONENT}(?:/{_COMPONENT})*))"
    r"(?::(?P<tag>[\w][\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
MAX_LENGTH = 255


class InvalidNameError(ValueError):
    """Names the image and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class ImageName:
    repository: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        return self.repository + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def parse_image_name(text: str) -> ImageName:
    """The normalized name. Raises InvalidNameError."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        hint = ": repository names are lower case" if text != text.lower() else ""
        raise InvalidNameError(f"image {text!r} is no valid image name{hint}")
    domain, path = match["domain"] or "", match["path"]
    if domain and not (re.search("[.:]", domain) or domain == "localhost"):
        domain, path = "", f"{domain}/{path}"
        if domain.lower() != domain or path.lower() != path:
            raise InvalidNameError(f"image {text!r} is no valid image name: repository names are lower case")
    if not domain:
        domain = "docker.io"
    if domain == "docker.io" and "/" not in path:
        path = f"library/{path}"
    repository = f"{domain}/{path}"
    if len(repository) > MAX_LENGTH:
        raise InvalidNameError(f"image {text!r}: the repository name is longer than {MAX_LENGTH} characters")
    tag, digest = match["tag"] or "", match["digest"] or ""
    return ImageName(repository, tag or ("" if digest else "latest"), digest)
