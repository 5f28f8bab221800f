"""Fixtures for every test in the repository: real PostgreSQL and anvil."""

pytest_plugins = ["rialto_cli.testing"]
