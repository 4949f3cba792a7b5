"""Go's text/template: actions, pipelines, variables, branches, loops, functions, templates within templates. Pure.

``tokens`` → ``parser`` → ``nodes``, which run and print themselves; ``values`` is what a template can look at,
``functions`` and ``formatting`` what it can call. Left out are ``call``, channels, iterators and complex numbers.
"""

from seamark.dns.gotemplate.nodes import Template
from seamark.dns.gotemplate.parser import parse_template
from seamark.dns.gotemplate.values import Method, Struct, TemplateError

__all__ = ["Method", "Struct", "Template", "TemplateError", "parse_template"]
