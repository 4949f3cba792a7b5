"""Go's regular expressions as Python's. Pure.

Both write most things alike. What Go writes its own way is rewritten (``[[:alpha:]]``, ``\\z``, ``\\Q…\\E``,
``(?<name>…)``, flags in the middle, ``$`` as the very end), and what Go has not is refused (looking ahead, back
references): a pattern means here what it means there, or nothing.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

MAX_REPEAT = 1000
_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7f",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-\~",
    "space": r"\t-\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_LETTERS = {"L": "A-Za-z", "Lu": "A-Z", "Ll": "a-z", "N": "0-9", "Nd": "0-9"}
"""Unicode's classes, among the characters of names."""
_SPACE = r"\t\n\f\r "
_ALIKE = frozenset("AbBdDwWafnrtv")
_ESCAPE = re.compile(
    r"\\(?:Q(?P<quoted>.*?)(?:\\E|\Z)|x\{(?P<braced>[0-9a-fA-F]+)\}|x(?P<hex>[0-9a-fA-F]{2})"
    r"|(?P<octal>0[0-7]{0,2}|[1-7][0-7]{1,2})|p(?P<letter>[A-Z])|p\{(?P<class>\w+)\}|(?P<char>.))",
    re.DOTALL,
)
_GROUP = re.compile(r"\((?:\?P?<(?P<name>\w+)>|\?(?P<flags>[imsU]*(?:-[imsU]+)?)(?P<end>[:)])|(?!\?))")
_REPEAT = re.compile(r"(?:[*+?]|\{(?P<least>\d+)(?:,(?P<most>\d*))?\})\??(?P<again>[*+?]|\{\d+(?:,\d*)?\})?")
_NAMED = re.compile(r"\[:(?P<no>\^?)(?P<name>[a-z]+):\]")


@lru_cache(maxsize=256)
def compile_go(pattern: str) -> re.Pattern[str]:
    """Raises ValueError, with the reason."""
    try:
        return re.compile(_Rewriting(pattern).whole(), re.ASCII)
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"'{pattern}' is not a regular expression: {error}") from None


@cache
def _complement(name: str) -> str:
    has = re.compile(f"[{_CLASSES[name]}]")
    return "".join(f"\\x{point:02x}" for point in range(128) if not has.match(chr(point))) + r"\x80-\U0010ffff"


class _Rewriting:
    """One pass over a pattern. ``scopes`` are the flags set in the group that is open now, ``lines`` whether ``$`` is
    the end of a line in it, ``lazy`` whether repetitions take the least; ``around`` the same of the groups around it.
    """

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0
        self._out: list[str] = []
        self._scopes: list[str] = []
        self._lines = self._lazy = False
        self._around: list[tuple[list[str], bool, bool]] = []

    def whole(self) -> str:
        while self._at < len(self._text):
            self._out.append(self._next())
        if self._around:
            raise ValueError("a '(' without its ')'")
        return "".join(self._out) + ")" * len(self._scopes)

    def _next(self) -> str:
        char = self._text[self._at]
        if char == "\\":
            return self._escape(in_class=False)
        if char == "[":
            return self._class()
        if char == "(":
            return self._group()
        if char in "*+?" or (char == "{" and _REPEAT.match(self._text, self._at)):
            return self._repeat()
        self._at += 1
        if char == ")":
            return self._close()
        if char == "|":
            return ")" * len(self._scopes) + "|" + "".join(self._scopes)
        if char == "$":
            return "$" if self._lines else r"\Z"
        return r"\{" if char == "{" else char

    def _take(self, what: re.Pattern[str], problem: str) -> re.Match[str]:
        found = what.match(self._text, self._at)
        if found is None:
            raise ValueError(f"{problem} at '{self._text[self._at : self._at + 8]}'")
        self._at = found.end()
        return found

    def _repeat(self) -> str:
        found = self._take(_REPEAT, "no repetition")
        if found["again"]:
            raise ValueError(f"'{found[0]}' repeats a repetition")
        if max(int(found["least"] or 0), int(found["most"] or 0)) > MAX_REPEAT:
            raise ValueError(f"'{found[0]}' repeats more than {MAX_REPEAT} times")
        if not self._lazy:
            return found[0]
        return found[0].removesuffix("?") if len(found[0]) > 1 and found[0].endswith("?") else f"{found[0]}?"

    def _group(self) -> str:
        found = self._take(_GROUP, "a group of this kind is not known")
        if found["end"] == ")":
            self._scopes.append(self._flags(found["flags"]))
            return self._scopes[-1]
        self._around.append((self._scopes, self._lines, self._lazy))
        self._scopes = []
        if found["end"]:
            return self._flags(found["flags"])
        return f"(?P<{found['name']}>" if found["name"] else "("

    def _close(self) -> str:
        if not self._around:
            raise ValueError("a ')' without its '('")
        scopes = len(self._scopes)
        self._scopes, self._lines, self._lazy = self._around.pop()
        return ")" * scopes + ")"

    def _class(self) -> str:
        out = ["["]
        self._at += 1
        if self._text.startswith("^", self._at):
            out.append("^")
            self._at += 1
        first = True
        while first or not self._text.startswith("]", self._at):
            if self._at >= len(self._text):
                raise ValueError("a '[' without its ']'")
            out.append(self._in_class())
            first = False
        self._at += 1
        return "".join([*out, "]"])

    def _in_class(self) -> str:
        char = self._text[self._at]
        if char == "\\":
            return self._escape(in_class=True)
        named = _NAMED.match(self._text, self._at)
        if named is None:
            self._at += 1
            return f"\\{char}" if char in "[]&|~" else char
        self._at = named.end()
        if named["name"] not in _CLASSES:
            raise ValueError(f"'{named[0]}' is no class of characters")
        return _complement(named["name"]) if named["no"] else _CLASSES[named["name"]]

    def _escape(self, *, in_class: bool) -> str:
        found = self._take(_ESCAPE, "a lonely backslash")
        kind, word = str(found.lastgroup), str(found[found.lastgroup or 0])
        match kind:
            case "quoted":
                return re.escape(word)
            case "braced" | "hex" | "octal":
                return re.escape(chr(int(word, 8 if kind == "octal" else 16)))
            case "letter" | "class":
                if word not in _LETTERS:
                    raise ValueError(f"'{found[0]}' is no class of characters that is known here")
                return _LETTERS[word] if in_class else f"[{_LETTERS[word]}]"
        if word in "sS" and (word == "s" or not in_class):
            return _SPACE if in_class else f"[{'^' if word == 'S' else ''}{_SPACE}]"
        if word == "z" and not in_class:
            return r"\Z"
        if word in _ALIKE or word == "S" or not word.isalnum():
            return found[0]
        raise ValueError(f"'{found[0]}' is no escape sequence")

    def _flags(self, flags: str) -> str:
        """How a group with these flags begins."""
        on, _, off = flags.partition("-")
        self._lines = ("m" in on or self._lines) and "m" not in off
        self._lazy = ("U" in on or self._lazy) and "U" not in off
        known, unset = on.replace("U", ""), off.replace("U", "")
        return f"(?{known}{'-' if unset else ''}{unset}:"
