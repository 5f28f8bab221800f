"""Fixtures for every test in the repository: real PostgreSQL, anvil and Kafka."""

pytest_plugins = ["rialto_cli.testing", "rialto_cli.kafka_testing"]
