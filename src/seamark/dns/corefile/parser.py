"""Corefile tokens -> server blocks: keys, and directives with their arguments and the lines of their braces.

``(name) { … }`` defines a snippet, ``import name`` or ``import file`` puts its tokens in place, anywhere a line may
start. Reading a file is the caller's (``read_imports``); so is deciding whether a directive is a plugin. A single
server block may omit its braces.

Refused, with file, line, column and word: unbalanced braces, a closing brace on the line of a directive, snippets
defined twice, imports with several arguments, of nothing, or of themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from seamark.dns.corefile.block import Block, Line
from seamark.dns.corefile.lexer import CorefileError, Token, parse_tokens

ReadImports = Callable[[str, str], Sequence[tuple[str, str]]]
"""``(pattern, importing file)`` -> (file, text) of every match, sorted. Raises OSError where one is not readable."""

MAX_IMPORTS = 10_000


@dataclass(frozen=True, slots=True)
class ServerBlock:
    keys: tuple[Token, ...]
    directives: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Corefile:
    blocks: tuple[ServerBlock, ...]
    files: tuple[tuple[str, str], ...] = ()
    """(file, text) of everything read, imports included: what a reload compares."""
    warnings: tuple[str, ...] = ()


def parse_corefile(
    text: str, *, file: str, environment: Mapping[str, str], read_imports: ReadImports | None = None
) -> Corefile:
    """Raises CorefileError at the first fault."""
    tokens = parse_tokens(text, file=file, environment=environment)
    parser = _Parser(tokens, file, environment, read_imports)
    blocks = parser.blocks()
    return Corefile(tuple(blocks), ((file, text), *parser.files), tuple(parser.warnings))


class _Parser:
    """A cursor over a token list into which imports are spliced as they are met."""

    def __init__(
        self, tokens: list[Token], file: str, environment: Mapping[str, str], read_imports: ReadImports | None
    ) -> None:
        self.tokens = tokens
        self.at = 0
        self.file = file
        self.environment = environment
        self.read_imports = read_imports
        self.snippets: dict[str, list[Token]] = {}
        self.imports = 0
        self.files: list[tuple[str, str]] = []
        self.warnings: list[str] = []

    def blocks(self) -> list[ServerBlock]:
        found = []
        while self.peek() is not None:
            keys = self.keys()
            if len(keys) == 1 and keys[0].text.startswith("(") and keys[0].text.endswith(")"):
                self.snippet(keys[0])
            elif keys:
                found.append(ServerBlock(tuple(keys), tuple(self.directives())))
        return found

    def peek(self) -> Token | None:
        """The next token, after putting in what it imports."""
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            if not (token.text == "import" and token.first and not token.quoted):
                return token
            self.splice(token)
        return None

    def take(self) -> Token:
        token = self.peek()
        if token is None:
            raise CorefileError("the file ends here, but a closing brace is missing", self.end())
        self.at += 1
        return token

    def end(self) -> Token:
        last = self.tokens[-1] if self.tokens else Token("", self.file, 1, 1)
        return Token("", last.file, last.line, last.column + len(last.text))

    def keys(self) -> list[Token]:
        """The words up to the opening brace, or to the end of the line; a trailing comma goes on to the next line."""
        found: list[Token] = []
        more = True
        while (token := self.peek()) is not None and not token.opens and (more or not token.first):
            self.at += 1
            if token.closes:
                raise token.error("a closing brace '}' without an opening one")
            if not token.quoted and ("{" in token.text or "}" in token.text):
                raise token.error(f"'{token.text}': braces have to stand alone")
            more = token.text.endswith(",")
            text = token.text.removesuffix(",")
            if text:
                found.append(replace(token, text=text))
        if token is None and more and found:
            raise CorefileError("another server block key has to follow the comma", self.end())
        if token is not None and token.opens and not found:
            raise token.error("a server block needs a zone before '{', such as '.:53 {'")
        if token is not None and token.opens and more:
            raise token.error("another server block key has to follow the comma, not '{'")
        return found

    def directives(self) -> list[Block]:
        opening = self.peek()
        braced = opening is not None and opening.opens
        if braced:
            self.at += 1
        found: list[Block] = []
        while (token := self.peek()) is not None or braced:
            token = self.take()
            if token.closes and braced:
                return found
            if token.closes or token.opens:
                raise token.error(f"a plugin name is expected here, not '{token.text}'")
            found.append(self.directive(token))
        return found

    def directive(self, name: Token) -> Block:
        args = self.rest_of_line()
        token = self.peek()
        if token is None or not token.opens:
            return Block(name, tuple(args))
        self.at += 1
        return Block(name, tuple(args), tuple(self.lines()), braced=True)

    def rest_of_line(self, *, in_block: bool = False) -> list[Token]:
        """The line ends with a brace, too; one that closes has to be that of the directive's own block."""
        found: list[Token] = []
        while (token := self.peek()) is not None and not token.first and not token.opens:
            if token.closes and in_block:
                break
            if token.closes:
                raise token.error("a closing brace '}' has to stand on a line of its own")
            self.at += 1
            found.append(token)
        return found

    def lines(self) -> list[Line]:
        """The lines between the braces of a directive."""
        found: list[Line] = []
        while True:
            token = self.take()
            if token.closes:
                return found
            if token.opens:
                raise token.error("a property name is expected here, not '{'")
            args = self.rest_of_line(in_block=True)
            following = self.peek()
            if following is not None and following.opens:
                raise following.error(f"'{token.text}' takes no block in braces")
            found.append(Line((token, *args)))

    def snippet(self, name: Token) -> None:
        plain = name.text[1:-1]
        if plain in self.snippets:
            raise name.error(f"snippet '{plain}' is defined a second time")
        token = self.peek()
        if token is None or not token.opens:
            raise name.error(f"snippet '{plain}' needs a block in braces")
        self.at += 1
        depth, start = 1, self.at
        while depth:
            if self.at >= len(self.tokens):
                raise CorefileError(f"snippet '{plain}' is opened at line {name.line} and never closed", self.end())
            depth += self.tokens[self.at].opens - self.tokens[self.at].closes
            self.at += 1
        self.snippets[plain] = self.tokens[start : self.at - 1]

    def splice(self, word: Token) -> None:
        """Puts the imported tokens where the import stands."""
        stop = self.at + 1
        while stop < len(self.tokens) and not self.tokens[stop].first:
            stop += 1
        args = [token for token in self.tokens[self.at + 1 : stop] if not token.opens]
        if len(args) != 1 or not args[0].text:
            raise word.error(f"import takes exactly one argument, a snippet or a file, and got {len(args)}")
        name = args[0]
        self.imports += 1
        if name.text in word.via or self.imports > MAX_IMPORTS:
            raise name.error(f"'{name.text}' imports itself")
        tokens = self.snippets.get(name.text)
        found = self.file_tokens(name) if tokens is None else tokens
        via = (*word.via, name.text)
        self.tokens[self.at : self.at + 2] = [replace(token, via=via) for token in found]

    def file_tokens(self, name: Token) -> list[Token]:
        if self.read_imports is None:
            raise name.error(f"there is no snippet '{name.text}', and no files may be imported here")
        wild = sum(name.text.count(char) for char in "*?[")
        if wild > 1:
            raise name.error(f"'{name.text}': a file pattern may hold one wildcard only")
        try:
            files = self.read_imports(name.text, name.file)
        except (OSError, UnicodeDecodeError) as error:
            raise name.error(f"cannot import '{name.text}': {error}") from error
        if not files and not wild:
            raise name.error(f"there is no snippet and no file '{name.text}' to import")
        if not files:
            self.warnings.append(f"{name.file}:{name.line}:{name.column}: no files match the import '{name.text}'")
        self.files += files
        found: list[Token] = []
        for file, text in files:
            found += parse_tokens(text, file=file, environment=self.environment)
        return found
