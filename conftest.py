"""Fixtures for every test in the repository: real PostgreSQL, anvil and Kafka."""

import signal

from hypothesis import settings

pytest_plugins = ["rialto_cli.testing", "rialto_cli.kafka_testing"]

# How long an example takes says more of the machine than of the code.
settings.register_profile("rialto", deadline=None)
settings.load_profile("rialto")

# A shell starts what it runs in the background deaf to Ctrl-C, and the programs under test would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
