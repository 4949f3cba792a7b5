"""``python -m seamark``: the same as the ``seamark`` command.

``dns`` goes its own way before the command line is imported: every DNS pod is one of these processes, and what it does
not need would be held in memory by each.
"""

import sys

if sys.argv[1:2] == ["dns"]:
    from seamark.cli.dns import main as dns_main

    sys.exit(dns_main(sys.argv[2:]))

from seamark.cli.main import main

main()
