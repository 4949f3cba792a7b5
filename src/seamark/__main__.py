"""``python -m seamark``: the same as the ``seamark`` command."""

from seamark.cli.main import main

main()
