"""The tutorial's sections, in order; each is a function over a Tutorial."""

from demo.steps.a_environment import environment
from demo.steps.b_dns import dns
from demo.steps.c_corefile import corefile
from demo.steps.d_spread import spread
from demo.steps.e_headless import headless
from demo.steps.f_endpoints import endpoints

SECTIONS = (
    ("A. Environment variables", environment),
    ("B. DNS from a pod", dns),
    ("C. The Corefile", corefile),
    ("D. Spread and session affinity", spread),
    ("E. Headless Services", headless),
    ("F. How a Service finds its pods", endpoints),
)
