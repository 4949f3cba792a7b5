"""The command: ``seamark`` and ``python -m seamark`` alike.

``dns`` and ``proxy`` go their own way before the command line is imported: they are many processes of a cluster, and
what they do not need would be waited for, and held in memory, by each. Their flags are CoreDNS's and kube-proxy's.
"""

import sys


def main() -> None:
    command = sys.argv[1:2]
    if command == ["dns"]:
        from seamark.cli.dns import main as dns_main

        sys.exit(dns_main(sys.argv[2:]))
    if command == ["proxy"]:
        from seamark.cli.proxy import main as proxy_main

        sys.exit(proxy_main(sys.argv[2:]))
    from seamark.cli.main import main as other_main

    other_main()


if __name__ == "__main__":
    main()
