"""Expressions about a query, in the language of expr-lang as CoreDNS's *view* and *template* use it. Pure.

``tokens`` → ``parser`` → a tree of closures that carry their kind: names, counts and kinds are checked before a query
comes. ``operators``, ``builtins`` and ``predicates`` say what each word takes, gives and does. Left out are dates, byte
strings, ``$env`` and methods: ``parse_expression`` refuses them by name.
"""

from seamark.dns.expression.kinds import Expression, Function
from seamark.dns.expression.parser import is_reserved, parse_condition, parse_expression
from seamark.dns.expression.printing import go_text

__all__ = ["Expression", "Function", "go_text", "is_reserved", "parse_condition", "parse_expression"]
