"""The walk as the C libraries do it: getaddrinfo of this machine's glibc, and of musl where there is musl-gcc,
asks a resolver that answers by chance, in namespaces of its own.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from seamark.compile.resolvconf import parse_resolv_conf
from seamark.compile.searchlist import Library, Outcome, compile_search, joined, select_walked

pytestmark = [pytest.mark.net, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]

CASES = 120
TOLD = {"found": [0], "nodata": [-5], "nxdomain": [-2], "servfail": [-3]}
MUSL_TOLD = {**TOLD, "nodata": [-2, -5]}
"""EAI_… as getaddrinfo gives it; musl has no code of its own for NODATA before 1.2.5."""
PROGRAM = """
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
int main(int count, char **words) {
    struct addrinfo hints = {0}, *found;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_family = words[2][0] == '4' ? AF_INET : AF_UNSPEC;
    printf("%d", getaddrinfo(words[1], 0, &hints, &found));
    return 0;
}
"""
ASKING = """
import json, socket, subprocess, sys, threading
import dns.flags, dns.message, dns.rcode, dns.rrset

cases, program = json.load(open(sys.argv[1])), sys.argv[2]
plan, asked = {}, []

def serve():
    server = socket.socket(type=socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    while True:
        data, client = server.recvfrom(4096)
        reply = dns.message.make_response(dns.message.from_wire(data))
        reply.flags |= dns.flags.AA
        question = reply.question[0]
        asked.append(str(question.name).lower())
        outcome = plan.get(f"{asked[-1]} {question.rdtype.name}", "nxdomain")
        if outcome == "found":
            address = "10.0.0.1" if question.rdtype.name == "A" else "fd00::1"
            reply.answer = [dns.rrset.from_text(question.name, 5, "IN", question.rdtype, address)]
        elif outcome != "nodata":
            reply.set_rcode(dns.rcode.SERVFAIL if outcome == "servfail" else dns.rcode.NXDOMAIN)
        server.sendto(reply.to_wire(), client)

threading.Thread(target=serve, daemon=True).start()
results = []
for case in cases:
    open("/etc/resolv.conf", "w").write(case["conf"])
    plan.clear()
    plan.update(case["plan"])
    asked.clear()
    told = subprocess.run([program, case["name"], case["family"]], capture_output=True, text=True, timeout=60).stdout
    results.append([list(dict.fromkeys(asked)), int(told)])
json.dump(results, sys.stdout)
"""


def make_cases(library: Library) -> list[dict[str, Any]]:
    """Names, resolv.conf and what the resolver says, by chance. musl waits a second for each SERVFAIL: few of those."""
    chance = random.Random(140)
    found = []
    for _ in range(CASES):
        searches = ["default.svc.cluster.local", "svc.cluster.local", "cluster.local", "corp.example"]
        options = f"nameserver 127.0.0.1\noptions ndots:{chance.choice((1, 2, 3, 5))} timeout:1 attempts:1\n"
        searches = searches[: chance.choice((0, 1, 3, 3, 4))]
        conf = (f"search {' '.join(searches)}\n" if searches else "") + options
        name = ".".join(chance.choice("abcd") for _ in range(chance.choice((1, 1, 2, 3, 4, 6)))) + chance.choice(
            ["", "", "."]
        )
        outcomes: list[Outcome] = ["found", "nodata", "nxdomain", "servfail"]
        weights = [4, 8, 20, 6 if library == "glibc" else 0.3]
        steps = compile_search(name, parse_resolv_conf(conf), library)
        plan = {f"{s.name} {t}": chance.choices(outcomes, weights)[0] for s in steps for t in ("A", "AAAA")}
        found.append({"name": name, "family": chance.choice("04"), "conf": conf, "plan": plan})
    return found


@pytest.mark.parametrize("library", ["glibc", "musl"])
def test_the_walk_is_the_library_s(library: Library, tmp_path: Path) -> None:
    compiler = shutil.which("gcc" if library == "glibc" else "musl-gcc")
    if compiler is None:
        pytest.skip(f"no compiler for {library}")
    source, program, file = tmp_path / "ask.c", tmp_path / "ask", tmp_path / "cases.json"
    source.write_text(PROGRAM)
    subprocess.run([compiler, "-o", program, source], check=True)
    cases = make_cases(library)
    file.write_text(json.dumps(cases))
    (tmp_path / "resolv.conf").write_text("")
    script = f'ip link set lo up && mount --bind {tmp_path / "resolv.conf"} /etc/resolv.conf && exec "$@"'
    command = ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-ec", script, "sh"]
    command += [sys.executable, "-c", ASKING, str(file), str(program)]
    results = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout)
    for case, (asked, code) in zip(cases, results, strict=True):
        types = ("A",) if case["family"] == "4" else ("A", "AAAA")
        steps = compile_search(case["name"], parse_resolv_conf(case["conf"]), library)
        outcomes = ((s, joined((case["plan"][f"{s.name} {t}"] for t in types), library)) for s in steps)
        walked, result = select_walked(outcomes, library)
        assert asked == [step.name for step in walked], case
        told = list((TOLD if library == "glibc" else MUSL_TOLD)[result])
        if library == "glibc" and result != "found" and "servfail" in case["plan"].values():
            told = [-5, -3, -2]  # which failure it tells after a SERVFAIL depends on what it asks for and how
        assert code in told, (case, code)
