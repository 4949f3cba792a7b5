"""What each plugin's ``parse`` takes and refuses; refusals name line, column and word."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from seamark.dns.corefile.lexer import CorefileError
from seamark.dns.corefile.parser import parse_corefile
from seamark.dns.host import Timeouts
from seamark.dns.plugins.acl.config import Policy
from seamark.dns.plugins.cache.config import Kind, Prefetch, Stale
from seamark.dns.plugins.forward.config import Tls
from seamark.dns.plugins.kubernetes.config import Limits
from seamark.dns.server.instance import parse_server

NET = (ip_network("10.0.0.1/32"),)


def parse(text: str, zone: str = ".") -> Any:
    """The configuration of the first plugin of one block; ``text`` starts on line 2, column 1."""
    return parse_server(parse_corefile(f"{zone} {{\n{text}\n}}\n", file="Corefile", environment={}))[0].plugins[0][1]


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("cache", {"zones": (".",), "success": Kind(9984, 3600, 5), "denial": Kind(9984, 1800, 5)}),
        ("cache 30 a b", {"zones": ("a.", "b."), "success": Kind(9984, 30, 5), "denial": Kind(9984, 30, 5)}),
        ("cache {\nsuccess 5 60 1\ndenial 6\n}", {"success": Kind(5, 60, 1), "denial": Kind(6, 1800, 5)}),
        ("cache {\nprefetch 10 2m 20%\n}", {"prefetch": Prefetch(10, 120.0, 20)}),
        ("cache {\nserve_stale\n}", {"stale": Stale(3600.0, False)}),
        ("cache {\nserve_stale 10s verify\n}", {"stale": Stale(10.0, True)}),
        ("cache {\nserve_stale 1h verify 100ms 30s 5s\n}", {"stale": Stale(3600.0, True, 0.1, 30, 5.0)}),
        ("cache {\nserve_stale 1h immediate 30s\n}", {"stale": Stale(3600.0, False, 0.0, 30, 0.0)}),
        (
            "cache {\nserve_stale_policy prefer_positive\nserve_stale 1h\n}",
            {"stale": Stale(3600.0, prefers_positive=True)},
        ),
        ("cache {\nservfail 0\nkeepttl\ndisable denial a\n}", {"servfail": 0.0, "keepttl": True}),
        ("bufsize", {"size": 1232}),
        ("cancel 2s", {"timeout": 2.0}),
        ("local {\nlocalhost_prefix off\n}", {"prefix": False}),
        ("local {\nlocalhost_prefix on\n}", {"prefix": True}),
        (
            "etcd {\nendpoint localhost:300 https://[::1]:2379\n}",
            {"endpoints": ("http://localhost:300", "https://[::1]:2379")},
        ),
        ("proxyproto {\nallow\n}", {"allowed": ()}),
        ("errors stdout", {"stacktrace": False}),
        ("loadbalance weighted f {\nreload 0s\n}", {"reload": 0.0}),
        ("nsid a b", {"data": "a b"}),
        ("timeouts {\nread 3\nidle 1m\n}", {"timeouts": Timeouts(3.0, 5.0, 60.0)}),
        ("acl a {\nblock type * net 10.0.0.1\n}", {"policies": (Policy("block", frozenset(), NET),)}),
        ("errors", {"stacktrace": False, "consolidate": ()}),
        ("forward . 1.1.1.1 [::1]:54 dns://9.9.9.9", {"zone": ".", "policy": "random", "max_concurrent": 0}),
        (
            "forward a.b 1.1.1.1 {\nexcept c.a.b d\npolicy sequential\nmax_concurrent 9\n}",
            {"excepted": ("c.a.b.", "d.")},
        ),
        ("forward . ::1 {\nmax_connect_attempts 0\nfailfast_all_unhealthy_upstreams\n}", {"failfast": True}),
        (
            "forward . tls://9.9.9.9:8853 {\ntls ca\ntls_servername x\n}",
            {"tls": Tls(authority="ca", server_name="x")},
        ),
        (
            "forward . a.b 1.1.1.1 {\nresolver 9.9.9.9 [::1]:54\nhedge off\nsingle_flight off\ncheck_answers off\n}",
            {
                "resolver": (("9.9.9.9", 53), ("::1", 54)),
                "hedge": 0.0,
                "single_flight": False,
                "check_answers": False,
            },
        ),
        ("health", {"address": ":8080", "lameduck": 0.0}),
        ("health localhost:8091 {\nlameduck 1s\n}", {"address": "localhost:8091", "lameduck": 1.0}),
        ("hosts {\n10.0.0.1 a b\nfallthrough\n}", {"inline": ("10.0.0.1 a b",), "fallthrough": (".",), "ttl": 3600}),
        (
            "hosts /x y {\nttl 5\nno_reverse\nreload 0s\n}",
            {"path": "/x", "zones": ("y.",), "reverse": False, "reload": 0},
        ),
        ("kubernetes", {"zones": (".",), "primary": ".", "ttl": 5, "fallthrough": None}),
        ("kubernetes in-addr.arpa a.b", {"zones": ("in-addr.arpa.", "a.b."), "primary": "a.b."}),
        (
            "kubernetes a b {\nmulticluster b\napiserver_qps 2.5\napiserver_burst 3\napiserver_max_inflight 4\n}",
            {"multicluster": ("b.",), "limits": Limits(2.5, 3, 4)},
        ),
        ("kubernetes a {\nlabels x in (y, z)\n}", {"labels": "x in (y, z)"}),
        ("loadbalance", {"prefer": ()}),
        ("log", {"classes": frozenset({"all"})}),
        ("log . {\nclass denial error\n}", {"classes": frozenset({"denial", "error"})}),
        ("loop", {"zone": ".", "exit": False}),
        ("loop exit", {"zone": ".", "exit": True}),
        ("prometheus", {"address": "localhost:9153"}),
        ("prometheus [::1]:9153", {"address": "[::1]:9153"}),
        ("ready 127.0.0.1:81 {\nmonitor continuously\n}", {"address": "127.0.0.1:81", "continuously": True}),
        ("reload", {"interval": 30.0, "jitter": 15.0}),
        ("reload 4s 3s", {"interval": 4.0, "jitter": 2.0}),
        ("reload 4s 0s", {"interval": 4.0, "jitter": 0.0}),
    ],
)
def test_what_is_taken(text: str, fields: dict[str, object]) -> None:
    config = parse(text)
    assert {name: getattr(config, name) for name in fields} == fields


@pytest.mark.parametrize(
    ("text", "line", "column", "word", "message"),
    [
        ("nonsense", 2, 1, "nonsense", "unknown plugin 'nonsense'"),
        ("dnssec", 2, 1, "dnssec", "needs 'key file'"),
        ("route53 a", 2, 1, "route53", "not part of Seamark: records of that cloud"),
        ("errors\nerrors", 3, 1, "errors", "once per server block"),
        ("errors x", 2, 8, "x", "invalid log file"),
        ("errors {\nsum\n}", 3, 1, "sum", "no property 'sum' (known: consolidate, stacktrace)"),
        ("errors {\nconsolidate 5s (\n}", 3, 16, "(", "not a regular expression"),
        ("errors {\nconsolidate 5s x loud\n}", 3, 18, "loud", "neither a log level"),
        ("cache 0", 2, 7, "0", "from 1 to"),
        ("cache -1", 2, 7, "-1", "from 1 to"),
        ("cache {\nsuccess\n}", 3, 1, "success", "1 to 3 arguments"),
        ("cache {\nsuccess x\n}", 3, 9, "x", "not a whole number"),
        ("cache {\nprefetch 1 1m 5%\n}", 3, 15, "5%", "percentage from 10% to 90%"),
        ("cache {\nservfail 6m\n}", 3, 10, "6m", "from 0s to 300s"),
        ("cache {\ndisable all\n}", 3, 9, "all", "neither success nor denial"),
        ("cache {\nserve_stale 1h verify 5s 1500ms\n}", 3, 26, "1500ms", "whole seconds"),
        ("cache {\nserve_stale 1h immediate 5s 1s 1s\n}", 3, 32, "1s", "takes no more"),
        ("cache {\nserve_stale_policy first\nserve_stale\n}", 3, 20, "first", "prefer_positive"),
        ("cache {\nserve_stale_policy prefer_positive\n}", 3, 20, "prefer_positive", "needs serve_stale"),
        ("cache {\nserve_stale 1h slowly\n}", 3, 16, "slowly", "immediate, verify"),
        ("forward", 2, 1, "forward", "takes a zone and at least one upstream"),
        ("forward .", 2, 9, ".", "takes a zone and at least one upstream"),
        ("forward . grpc://1.1.1.1", 2, 11, "grpc://1.1.1.1", "upstreams are dns://, tls://, https://, quic://"),
        ("forward . https://1.1.1.1/dns-query", 2, 11, "https://1.1.1.1/dns-query", "path is always /dns-query"),
        ("forward . tls://1.1.1.1%", 2, 11, "tls://1.1.1.1%", "name has to follow"),
        ("forward . a..b", 2, 11, "a..b", "not an IP address, file, or valid domain"),
        ("forward . 1.1.1.1:99999", 2, 11, "1.1.1.1:99999", "is not a port"),
        ("forward . 1.1.1.1 {\nresolver a.b\n}", 3, 10, "a.b", "must be an IP address or IP:port"),
        ("forward . 1.1.1.1 {\nhedge soon\n}", 3, 7, "soon", "not a duration"),
        ("forward . 1.1.1.1 {\nsingle_flight maybe\n}", 3, 15, "maybe", "neither on nor off"),
        ("forward . 1.1.1.1 {\nexcept\n}", 3, 1, "except", "at least one argument"),
        ("forward . 1.1.1.1 {\npolicy best\n}", 3, 8, "best", "random, round_robin, sequential"),
        ("forward . 1.1.1.1 {\nmax_concurrent many\n}", 3, 16, "many", "not a whole number"),
        ("forward . 1.1.1.1 {\ntls a b c d\n}", 3, 11, "d", "0 to 3 arguments"),
        ("forward . 1.1.1.1 {\ndoh_method PUT\n}", 3, 12, "PUT", "must be either POST or GET"),
        ("forward . 1.1.1.1 {\nhealth_check 1s never\n}", 3, 17, "never", "no_rec, domain"),
        ("forward . 1.1.1.1 {\nfailover NOERROR\n}", 3, 1, "failover", "cannot be used"),
        ("forward . 1.1.1.1 {\nnext NOSUCH\n}", 3, 6, "NOSUCH", "not an rcode"),
        ("forward . 1.1.1.1 {\nmax_age 1s\nexpire 5s\n}", 2, 1, "forward", "max_age 1s is less than expire 5s"),
        ("forward . 1.1.1.1 {\nforce_tcp yes\n}", 3, 11, "yes", "takes no argument"),
        ("health 8080", 2, 8, "8080", "has no port"),
        ("health :8080 x", 2, 14, "x", "at most one argument"),
        ("health {\nlameduck\n}", 3, 1, "lameduck", "exactly one argument"),
        ("health {\nlameduck 5\n}", 3, 10, "5", "not a duration"),
        ("hosts {\nnonsense\n}", 3, 1, "nonsense", "neither a property nor an address"),
        ("hosts {\n10.0.0.1\n}", 3, 1, "10.0.0.1", "no name follows"),
        ("hosts {\nfallthrough\n10.0.0.1 a\n}", 4, 1, "10.0.0.1", "entries come before fallthrough"),
        ("hosts {\nttl 0\n}", 3, 5, "0", "from 1 to 65535"),
        ("hosts {\nfallthrough_unsupported\n}", 3, 1, "fallthrough_unsupported", "needs 'fallthrough'"),
        ("kubernetes in-addr.arpa", 2, 1, "kubernetes", "not a reverse zone"),
        ("kubernetes a {\npods maybe\n}", 3, 6, "maybe", "disabled, insecure, verified"),
        ("kubernetes a {\nttl 3601\n}", 3, 5, "3601", "from 0 to 3600"),
        ("kubernetes a {\nlabels in in in\n}", 3, 8, "in", "not a label selector"),
        ("kubernetes a {\nnamespaces b\nnamespace_labels c\n}", 4, 1, "namespace_labels", "exclude one another"),
        ("kubernetes a {\nresyncperiod 5m\n}", 3, 1, "resyncperiod", "CoreDNS removed it"),
        ("kubernetes a {\nmulticluster b\n}", 3, 14, "b", "not among the zones of kubernetes: a."),
        ("kubernetes a {\nnoendpoints\nzonal\n}", 4, 1, "zonal", "excludes 'noendpoints'"),
        ("kubernetes a {\napiserver_qps fast\n}", 3, 15, "fast", "not a number"),
        ("kubernetes a {\napiserver_qps -1\n}", 3, 15, "-1", "at least 0"),
        ("kubernetes a {\napiserver_burst 1.5\n}", 3, 17, "1.5", "not a whole number"),
        ("kubernetes a {\nendpoint 10.0.0.1\n}", 3, 10, "10.0.0.1", "http:// or https://"),
        ("kubernetes a {\ntls a b\n}", 3, 7, "b", "exactly 3 arguments"),
        ("kubernetes a {\nignore it\n}", 3, 8, "it", "empty_service"),
        ("loadbalance weighted", 2, 13, "weighted", "takes exactly one argument"),
        ("loadbalance weighted f {\nprefer 10.0.0.0/8\n}", 3, 1, "prefer", "belongs to the policy round_robin"),
        ("loadbalance nearest", 2, 13, "nearest", "known: round_robin, weighted"),
        ("local {\nlocalhost_prefix maybe\n}", 3, 18, "maybe", "expects 'on' or 'off'"),
        ("loadbalance best", 2, 13, "best", "known: round_robin"),
        ("loadbalance {\nprefer ten\n}", 3, 8, "ten", "not an address block"),
        ("acl {\nallow 10.0.0.0/8\n}", 3, 7, "10.0.0.0/8", "'type' or 'net' has to stand before"),
        ("acl {\nblock net\n}", 3, 1, "block", "nothing follows 'net'"),
        ("acl {\nblock type NOPE\n}", 3, 12, "NOPE", "not a type"),
        ("acl {\nblock net a type A net b\n}", 3, 20, "net", "a second time"),
        ("bind", 2, 1, "bind", "at least one argument"),
        ("bufsize 100", 2, 9, "100", "from 512 to 4096"),
        ("cancel soon", 2, 8, "soon", "not a duration"),
        ("header", 2, 1, "header", "at least one line"),
        ("header {\nquery flip aa\n}", 3, 7, "flip", "neither set nor clear"),
        ("header {\nquery set tc\n}", 3, 11, "tc", "aa, ra, rd"),
        ("rewrite", 2, 1, "rewrite", "takes a field"),
        ("rewrite cname exact a", 2, 9, "cname", "target to rewrite, and what to"),
        ("rewrite colour a b", 2, 9, "colour", "known: name, type"),
        ("rewrite name regex ( b", 2, 20, "(", "not a regular expression"),
        ("rewrite name a", 2, 9, "name", "needs the name to rewrite to"),
        ("rewrite name a b answer sideways", 2, 18, "answer", "answer auto, name, value"),
        ("rewrite type A", 2, 14, "A", "takes two types"),
        ("rewrite type A Q", 2, 16, "Q", "not a type"),
        ("rewrite ttl a 5-3", 2, 15, "5-3", "not a TTL"),
        ("rewrite rcode a 99999 1", 2, 17, "99999", "not an rcode"),
        ("template IN A {\nvar a\n}", 3, 1, "var", "takes a name and an expression"),
        ("template IN A {\nvar len 1\n}", 3, 5, "len", "reserved"),
        ("template IN A {\nvar a-b 1\n}", 3, 5, "a-b", "not a variable's name"),
        ("template IN A {\nvar a 1 +\n}", 3, 7, "1", "'var' of template: unexpected the end"),
        ("transfer {\nto x\n}", 3, 4, "x", "not an address"),
        ("transfer {\nto *\nsource nowhere\n}", 4, 8, "nowhere", "not an address"),
        ("rewrite edns0 subnet set 24", 2, 26, "24", "two prefix lengths"),
        ("rewrite edns0 subnet set 33 56", 2, 26, "33", "from 0 to 32"),
        ("rewrite edns0 subnet unset 24", 2, 28, "24", "nothing behind it"),
        ("rewrite edns0 local set 0xfffff a", 2, 25, "0xfffff", "not the code"),
        ("template IN", 2, 10, "IN", "takes a class and a type"),
        ("template XX A", 2, 10, "XX", "not a class"),
        ("template IN A {\nanswer {{if}}\n}", 3, 8, "{{if}}", "missing value for if"),
        ("template IN A {\nexpr nosuch()\n}", 3, 6, "nosuch()", "'expr' of template"),
        ("template IN A {\nederror 70000\n}", 3, 9, "70000", "from 0 to 65535"),
        ("root", 2, 1, "root", "exactly one argument"),
        ("timeouts {\nmaxtcpqueries 0\n}", 3, 15, "0", "of at least 1"),
        ("quic {\nmax_streams 1\nmax_streams 2\n}", 4, 1, "max_streams", "already defined"),
        ("https {\nmax_streams 4294967296\n}", 3, 13, "4294967296", "to 4294967295"),
        ("errors {\nconsolidate 1m error warning error\n}", 3, 30, "error", "neither a log level"),
        ("template IN A {\nvar a 1\nvar a 2\n}", 4, 5, "a", "reserved"),
        ("forward . tls://1.1.1.1%a.test {\ntls_servername b.test\n}", 2, 11, "tls://1.1.1.1%a.test", "tls_servername"),
        ("timeouts {\nread 500ms\n}", 3, 6, "500ms", "from 1s to 86400s"),
        ("timeouts", 2, 1, "timeouts", "needs read, write, idle or maxtcpqueries"),
        ("tls a b {\nclient_auth require\n}", 3, 13, "require", "does not check"),
        ("tls a b {\nacme c\n}", 3, 1, "acme", "cert-manager"),
        ("tls a", 2, 5, "a", "2 to 3 arguments"),
        ("log . {\nclass some\n}", 3, 7, "some", "not a class"),
        ("loop x", 2, 6, "x", "takes 'exit' or nothing"),
        ("prometheus {\nruntime_metrics\n}", 3, 1, "runtime_metrics", "Go's runtime"),
        ("ready {\nmonitor always\n}", 3, 9, "always", "until-ready or continuously"),
        ("reload 1s", 2, 8, "1s", "of at least 2s"),
        ("reload 10s 500ms", 2, 12, "500ms", "0s or at least 1s"),
        ("whoami {\nx\n}", 3, 1, "x", "no property 'x'"),
    ],
)
def test_what_is_refused(text: str, line: int, column: int, word: str, message: str) -> None:
    with pytest.raises(CorefileError) as caught:
        parse(text)
    error = caught.value
    assert (error.line, error.column, error.word) == (line, column, word)
    assert message in error.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (". {\n}\n. {\n}\n", "dns://.:53 is served by another server block already"),
        ("a a {\n}\n", "served by another"),
        ("a:53 {\n}\nb A. {\n}\n", "served by another"),
    ],
)
def test_a_zone_is_served_once_per_port(text: str, message: str) -> None:
    with pytest.raises(CorefileError, match=message):
        parse_server(parse_corefile(text, file="Corefile", environment={}))


def test_plugins_come_in_coredns_order_whatever_the_corefile_says() -> None:
    text = ". {\nforward . 1.1.1.1\nwhoami\nhosts\ncache\nforward a 1.1.1.2\nerrors\n}\n"
    found = parse_server(parse_corefile(text, file="Corefile", environment={}))[0].plugins
    assert [name for name, _ in found] == ["errors", "cache", "hosts", "forward", "forward", "whoami"]
    assert [config.zone for name, config in found if name == "forward"] == [".", "a."]
