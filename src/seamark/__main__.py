"""The command: ``seamark`` and ``python -m seamark`` alike.

``dns`` and ``proxy`` go their own way before the command line is imported: they are many processes of a cluster, and
what they do not need would be waited for, and held in memory, by each. Their flags are CoreDNS's and kube-proxy's.
What they import stays for good, so nothing is looked through for garbage meanwhile, nor those modules ever after.
"""

import gc
import sys


def main() -> None:
    command = sys.argv[1:2]
    if command == ["dns"]:
        gc.disable()
        from seamark.cli.dns import main as dns_main

        _keep()
        sys.exit(dns_main(sys.argv[2:]))
    if command == ["proxy"]:
        gc.disable()
        from seamark.cli.proxy import main as proxy_main

        _keep()
        sys.exit(proxy_main(sys.argv[2:]))
    from seamark.cli.main import main as other_main

    other_main()


def _keep() -> None:
    gc.freeze()
    gc.enable()


if __name__ == "__main__":
    main()
