"""`python -m rialto_compliance --role all|api|worker`."""

from rialto_compliance.main import main

main()
