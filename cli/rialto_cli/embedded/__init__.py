"""Everything `rialto up` runs on one machine: PostgreSQL, an EVM node and the five services, supervised."""
