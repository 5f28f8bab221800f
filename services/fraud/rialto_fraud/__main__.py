"""`python -m rialto_fraud --role all|api|worker`."""

from rialto_fraud.main import main

main()
