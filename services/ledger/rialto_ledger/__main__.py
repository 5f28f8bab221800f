"""`python -m rialto_ledger --role all|api|worker`."""

from rialto_ledger.main import main

main()
