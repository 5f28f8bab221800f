"""`rialto sim`: seeded histories of payments through all five services, in one process, under faults."""
