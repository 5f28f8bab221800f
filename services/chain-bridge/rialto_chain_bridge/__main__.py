"""`python -m rialto_chain_bridge --role all|api|worker`."""

from rialto_chain_bridge.main import main

main()
