"""Fixtures for every test in the repository: real PostgreSQL, anvil and Kafka."""

import signal

pytest_plugins = ["rialto_cli.testing", "rialto_cli.kafka_testing"]

# A shell starts what it runs in the background deaf to Ctrl-C, and the programs under test would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
