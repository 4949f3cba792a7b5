"""Links in answers that came through a proxy subresource: absolute paths get the proxy's own path before them.

Pure. As Kubernetes does it: in HTML the attributes below and no others, and the Location of a redirect; relative links
hold as they are, links to other hosts are left alone.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from html import escape, unescape
from html.parser import HTMLParser
from posixpath import normpath
from urllib.parse import urlsplit, urlunsplit

ATTRIBUTES: dict[str, frozenset[str]] = {
    "a": frozenset({"href"}),
    "applet": frozenset({"codebase"}),
    "area": frozenset({"href"}),
    "audio": frozenset({"src"}),
    "base": frozenset({"href"}),
    "blockquote": frozenset({"cite"}),
    "body": frozenset({"background"}),
    "button": frozenset({"formaction"}),
    "command": frozenset({"icon"}),
    "del": frozenset({"cite"}),
    "embed": frozenset({"src"}),
    "form": frozenset({"action"}),
    "frame": frozenset({"longdesc", "src"}),
    "head": frozenset({"profile"}),
    "html": frozenset({"manifest"}),
    "iframe": frozenset({"longdesc", "src"}),
    "img": frozenset({"longdesc", "src", "usemap"}),
    "input": frozenset({"src", "usemap", "formaction"}),
    "ins": frozenset({"cite"}),
    "link": frozenset({"href"}),
    "object": frozenset({"classid", "codebase", "data", "usemap"}),
    "q": frozenset({"cite"}),
    "script": frozenset({"src"}),
    "source": frozenset({"src"}),
    "video": frozenset({"poster", "src"}),
}
_ATTRIBUTE = re.compile(r"""([^\s"'>/=]+)(\s*=\s*)("[^"]*"|'[^']*'|[^\s"'=<>`]+)""")


@dataclass(frozen=True, slots=True)
class Place:
    """``prefix`` is the path of the proxy subresource; ``hosts`` are those that mean the proxied server itself."""

    prefix: str
    hosts: frozenset[str]


def rewrite_url(url: str, place: Place) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    if (parts.netloc and parts.netloc not in place.hosts) or not parts.path.startswith("/"):
        return url
    path = parts.path
    if not path.startswith(place.prefix):
        joined = normpath(f"{place.prefix}{path}")
        path = joined + ("/" if path.endswith("/") and not joined.endswith("/") else "")
    return urlunsplit(("", "", path, parts.query, parts.fragment))


def rewrite_html(page: str, place: Place) -> str:
    """The page with its links rewritten; everything else is left as it is, byte for byte."""
    finder = _TagFinder(page)
    out: list[str] = []
    at = 0
    for start, tag, text in finder.found:
        out += [page[at:start], _rewrite_tag(tag, text, place)]
        at = start + len(text)
    return "".join([*out, page[at:]])


def _rewrite_tag(tag: str, text: str, place: Place) -> str:
    def replace(match: re.Match[str]) -> str:
        name, equals, quoted = match.groups()
        if name.lower() not in ATTRIBUTES[tag]:
            return match[0]
        quote = quoted[0] if quoted[0] in "\"'" else ""
        value = unescape(quoted[1:-1] if quote else quoted)
        rewritten = rewrite_url(value, place)
        if rewritten == value:
            return match[0]
        return f'{name}{equals}"{escape(rewritten)}"'

    head = len(tag) + 1
    return text[:head] + _ATTRIBUTE.sub(replace, text[head:])


class _TagFinder(HTMLParser):
    """Where each tag that may hold a link begins, its name and its text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=False)
        self.found: list[tuple[int, str, str]] = []
        self._lines = [0, *(m.end() for m in re.finditer("\n", page))]
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        text = self.get_starttag_text()
        if tag in ATTRIBUTES and text:
            line, column = self.getpos()
            self.found.append((self._lines[line - 1] + column, tag, text))


def rewrite_body(body: bytes, encoding: str, place: Place) -> bytes:
    """The body of an HTML answer under its content-encoding; one that cannot be read is left alone."""
    if encoding not in ("", "identity", "gzip", "deflate"):
        return body
    wbits = {"gzip": 31, "deflate": 15}.get(encoding, 0)
    try:
        plain = zlib.decompress(body, wbits) if wbits else body
    except zlib.error:
        return body
    page = plain.decode("latin-1")  # every byte is some character: what is not ASCII goes through as it came
    rewritten = rewrite_html(page, place).encode("latin-1")
    if rewritten == plain:
        return body
    if not wbits:
        return rewritten
    packer = zlib.compressobj(wbits=wbits)
    return packer.compress(rewritten) + packer.flush()
