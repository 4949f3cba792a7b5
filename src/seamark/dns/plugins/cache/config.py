"""``cache [TTL] [ZONES...] { success|denial …; prefetch; serve_stale; servfail; disable; keepttl }``."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from seamark.dns.corefile.block import Block, Line, duration, integer
from seamark.dns.corefile.keys import parse_zones
from seamark.dns.corefile.lexer import Token

CAPACITY = 9984
MAX_TTL, MAX_DENIAL_TTL, MIN_TTL = 3600, 1800, 5
MAX_TTL_GIVEN = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Kind:
    """How answers of one kind are kept; ``excepted`` are zones whose answers are not."""

    capacity: int = CAPACITY
    ttl: int = MAX_TTL
    least: int = MIN_TTL
    excepted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prefetch:
    """Fetch anew what was asked ``amount`` times without a gap of ``period`` and has ``percent`` of its TTL left."""

    amount: int = 0
    period: float = 60.0
    percent: int = 10


@dataclass(frozen=True, slots=True)
class Stale:
    """How long after its end an answer may still be given, and whether upstream is asked before (``verify``).

    ``timeout``: how long that may take, 0 = as long as upstream takes. ``ttl`` is what a stale answer is given with,
    ``recheck`` for how long a refresh that failed is not tried again, ``prefers_positive`` an answer to a denial.
    """

    seconds: float = 0.0
    verify: bool = False
    timeout: float = 0.0
    ttl: int = 0
    recheck: float = 0.0
    prefers_positive: bool = False


@dataclass(frozen=True, slots=True)
class Config:
    zones: tuple[str, ...] = (".",)
    success: Kind = field(default_factory=Kind)
    denial: Kind = field(default_factory=lambda: Kind(ttl=MAX_DENIAL_TTL))
    servfail: float = 5.0
    prefetch: Prefetch = field(default_factory=Prefetch)
    stale: Stale = field(default_factory=Stale)
    keepttl: bool = False


class _Reader:
    def __init__(self, ttl: int | None) -> None:
        self.kinds = {
            "success": {"ttl": ttl or MAX_TTL},
            "denial": {"ttl": ttl or MAX_DENIAL_TTL},
        }
        self.excepted: dict[str, tuple[str, ...]] = {"success": (), "denial": ()}
        self.prefetch = Prefetch()
        self.stale = Stale()
        self.policy: Token | None = None
        self.servfail = 5.0
        self.keepttl = False

    def read_kind(self, line: Line) -> None:
        words = line.between(1, 3, "capacity, TTL and least TTL")
        found = self.kinds[line.name.text]
        found["capacity"] = integer(words[0], least=1)
        if len(words) > 1:
            found["ttl"] = _ttl(words[1])
        if len(words) > 2:
            found["least"] = integer(words[2], least=0, most=MAX_TTL_GIVEN)

    def read_prefetch(self, line: Line) -> None:
        words = line.between(1, 3, "an amount, a duration and a percentage")
        period = duration(words[1]) if len(words) > 1 else 60.0
        self.prefetch = Prefetch(integer(words[0], least=0), period, _percent(words[2]) if len(words) > 2 else 10)

    def read_stale(self, line: Line) -> None:
        """``[DURATION] [immediate [TTL [RECHECK]] | verify [TIMEOUT [TTL [RECHECK]]]]``."""
        words = list(line.args)
        seconds = duration(words.pop(0)) if words else 3600.0
        mode = words.pop(0) if words else None
        if mode is not None and mode.text not in ("immediate", "verify"):
            raise mode.error(f"'{mode.text}' is not a way to refresh (known: immediate, verify)")
        verify = mode is not None and mode.text == "verify"
        timeout = duration(words.pop(0)) if verify and words else 0.0
        ttl = duration(words[0]) if words else 0.0
        if ttl != int(ttl):
            raise words[0].error(f"'{words[0].text}' has to be whole seconds")
        recheck = duration(words[1]) if len(words) > 1 else 0.0
        if len(words) > 2:
            raise words[2].error("serve_stale takes no more")
        self.stale = Stale(seconds, verify, timeout, int(ttl), recheck)

    def read_policy(self, line: Line) -> None:
        word = line.one("prefer_positive")
        if word.text != "prefer_positive":
            raise word.error(f"'{word.text}' is not a policy of serve_stale (known: prefer_positive)")
        self.policy = word

    def read_servfail(self, line: Line) -> None:
        self.servfail = duration(line.one("a duration"), most=300.0)

    def read_disable(self, line: Line) -> None:
        kind, *zones = line.some("success or denial, and zones")
        if kind.text not in self.excepted:
            raise kind.error(f"'{kind.text}' is neither success nor denial")
        self.excepted[kind.text] = parse_zones(tuple(zones), (".",))

    def read_keepttl(self, line: Line) -> None:
        line.none()
        self.keepttl = True

    def kind(self, name: str) -> Kind:
        return Kind(**self.kinds[name], excepted=self.excepted[name])


def parse(block: Block) -> Config:
    args = block.args
    ttl = None
    if args and args[0].text.lstrip("-").isdecimal():
        ttl, args = _ttl(args[0]), args[1:]
    reader = _Reader(ttl)
    block.read(
        {
            "success": reader.read_kind,
            "denial": reader.read_kind,
            "prefetch": reader.read_prefetch,
            "serve_stale": reader.read_stale,
            "servfail": reader.read_servfail,
            "disable": reader.read_disable,
            "keepttl": reader.read_keepttl,
            "serve_stale_policy": reader.read_policy,
        }
    )
    if reader.policy is not None and not reader.stale.seconds:
        raise reader.policy.error("serve_stale_policy needs serve_stale")
    return Config(
        zones=parse_zones(args, block.zones or (".",)),
        success=reader.kind("success"),
        denial=reader.kind("denial"),
        servfail=reader.servfail,
        prefetch=reader.prefetch,
        stale=replace(reader.stale, prefers_positive=reader.policy is not None),
        keepttl=reader.keepttl,
    )


def _ttl(token: Token) -> int:
    return integer(token, least=1, most=MAX_TTL_GIVEN)


def _percent(token: Token) -> int:
    number = token.text.removesuffix("%")
    if number == token.text or not number.isdecimal() or not 10 <= int(number) <= 90:
        raise token.error(f"'{token.text}' has to be a percentage from 10% to 90%")
    return int(number)
