"""The Corefiles that both servers get, and the files beside them.

Each case is one set of options of ``kubernetes``; the blocks below it are the same in all, one for each other plugin.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import dns.dnssec
import dns.dnssectypes
from cryptography.hazmat.primitives.asymmetric import ed25519

OTHERS = """
rw.test:PORT {
    rewrite name suffix .rw.test. .default.svc.cluster.local. answer auto
    rewrite ttl suffix rw.test. 60-90
    kubernetes cluster.local {
        ACCESS
    }
}
tpl.test:PORT {
    template IN A tpl.test {
        match ^ip-([0-9]+)-([0-9]+)[.]tpl[.]test[.]$
        answer "{{ .Name }} 60 IN A 10.1.{{ index .Match 1 }}.{{ index .Match 2 }}"
        fallthrough
    }
    template ANY ANY tpl.test {
        rcode NXDOMAIN
        authority "tpl.test. 60 IN SOA ns.tpl.test. root.tpl.test. 1 2 3 4 60"
        ederror 21 "not here"
    }
}
file.test:PORT {
    file DIRECTORY/db.file.test
    transfer {
        to *
    }
}
ext.test:PORT {
    k8s_external ext.test {
        headless
    }
    kubernetes cluster.local {
        ACCESS
    }
}
acl.test:PORT {
    acl {
        block type TXT
        filter type MX
    }
    whoami
}
any.test:PORT {
    any
    local
    whoami
}
localhost:PORT {
    local
}
"""
HEAD = """
.:PORT {
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        ACCESS
        OPTIONS
    }
    MORE
    hosts DIRECTORY/hosts {
        fallthrough
    }
}
sub.test:PORT {
    hosts DIRECTORY/hosts
    minimal
    bufsize 700
}
"""


@dataclass(frozen=True, slots=True)
class Case:
    """``options`` of kubernetes, and what else stands in its server block.

    ``sloppy_ttl``: TTLs of cached answers count down and are not compared.
    """

    options: str
    more: str = ""
    sloppy_ttl: bool = False


CASES = {
    "insecure": Case("pods insecure\nttl 30\nfallthrough in-addr.arpa ip6.arpa\nendpoint_pod_names"),
    "verified": Case("pods verified\nzonal\nignore empty_service\nfallthrough"),
    "namespaces": Case("pods disabled\nnamespaces default ns1\nttl 0"),
    "labels": Case("labels shown=yes\nnoendpoints"),
    "cache": Case("pods insecure\nttl 30\nfallthrough", "cache 30", sloppy_ttl=True),
    "autopath": Case("pods verified\nttl 30", "autopath @kubernetes"),
    "transfer": Case("pods insecure\nttl 30", "transfer {\n        to *\n    }"),
    "dnssec": Case("pods insecure\nttl 30", "dnssec cluster.local {\n        key file DIRECTORY/Kcluster\n    }"),
}
ZONE_FILE = """$TTL 300
@ IN SOA ns.file.test. root.file.test. 7 3600 600 86400 60
@ IN NS ns
ns IN A 192.0.2.1
Web IN A 192.0.2.2
alias IN CNAME web
lost IN CNAME nosuch
mail IN MX 10 web
deep.in.here IN TXT "x"
*.wild IN A 192.0.2.3
host.wild IN TXT "y"
sub IN NS ns.sub
ns.sub IN A 192.0.2.4
old IN DNAME new.file.test.
x.new IN A 192.0.2.5
_s._tcp IN SRV 0 1 80 web
"""


def write_files(directory: Path) -> None:
    """What the Corefiles name."""
    (directory / "db.file.test").write_text(ZONE_FILE)
    many = "".join(f"10.9.0.{n} many.sub.test\n" for n in range(1, 120))
    inline = "192.0.2.44 outside.example\n192.0.2.45 mixed.example\n10.9.1.1 a.sub.test\n"
    (directory / "hosts").write_text(inline + many)
    _write_key(directory)


def _write_key(directory: Path) -> None:
    """As dnssec-keygen does."""
    private = ed25519.Ed25519PrivateKey.generate()
    record = dns.dnssec.make_dnskey(private.public_key(), dns.dnssectypes.Algorithm.ED25519, 257)
    number = base64.b64encode(private.private_bytes_raw()).decode()
    (directory / "Kcluster.key").write_text(f"cluster.local. 3600 IN DNSKEY {record}\n")
    text = f"Private-key-format: v1.3\nAlgorithm: 15 (ED25519)\nPrivateKey: {number}\n"
    (directory / "Kcluster.private").write_text(text)


def write_corefile(case: Case, *, directory: Path, kubeconfig: Path, port: int, ours: bool) -> Path:
    """CoreDNS does not say why, so that is off for the comparison."""
    access = f"kubeconfig {kubeconfig}" + ("\n        extended_errors off" if ours else "")
    text = (HEAD + OTHERS).replace("OPTIONS", case.options).replace("MORE", case.more).replace("ACCESS", access)
    found = directory / f"Corefile.{port}"
    found.write_text(text.replace("DIRECTORY", str(directory)).replace("PORT", str(port)))
    return found
