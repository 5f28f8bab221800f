"""The topics of a Kafka cluster: `rialto topics apply`."""
