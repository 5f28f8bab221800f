"""One platform for all tests of this folder: `rialto up` in a process of its own, as its operator runs it."""

from collections.abc import Iterator

import pytest

from .running import Rialto
from .shop import Shop

ASSESSMENT_DEADLINE_SECONDS = 6
"""How long a payment waits for fraud and compliance here; 30 by default."""
LEDGER_DEADLINE_SECONDS = 300
"""How long one waits for the ledger's hold; 60 by default, too short for a slow machine and a parked event."""


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rialto]:
    """The platform; take `rialto` instead, which waits until the test before has been got over."""
    running = Rialto(
        tmp_path_factory.mktemp("e2e") / "data",
        {
            "RIALTO_GATEWAY_ASSESSMENT_DEADLINE_SECONDS": str(ASSESSMENT_DEADLINE_SECONDS),
            "RIALTO_GATEWAY_LEDGER_DEADLINE_SECONDS": str(LEDGER_DEADLINE_SECONDS),
        },
    )
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def rialto(platform: Rialto) -> Rialto:
    """The platform with everything ready."""
    platform.wait_until_ready()
    return platform


@pytest.fixture
def shop(rialto: Rialto) -> Iterator[Shop]:
    """A merchant of this test's own."""
    with Shop(rialto) as opened:
        yield opened
