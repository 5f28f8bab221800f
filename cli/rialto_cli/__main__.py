"""`python -m rialto_cli` is the same as `rialto`."""

from rialto_cli.app import main

main()
