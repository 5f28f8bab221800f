"""`rialto acquirer`: what the operator does about acquirers."""
