"""`python -m rialto_gateway --role api | worker | all`."""

from rialto_gateway.main import main

main()
