"""`rialto reconcile`: where the ledger's totals of a day are not those of the service that moves the same money."""
