"""I10: `kill -9` at each crash point of every program breaks no promise, on each bus."""

from pathlib import Path

import pytest

from .crash_matrix import Matrix
from .crash_points import crash_points, points_in

BUSES = ("postgres", "kafka")


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("bus", BUSES)
async def test_no_crash_point_breaks_a_promise(bus: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if bus == "kafka":
        request.getfixturevalue("kafka_factory")  # skips, loudly, where there is no JDK
    matrix = Matrix(bus, tmp_path)
    await matrix.run()
    assert not matrix.failures, "\n".join(matrix.failures)
    assert set(matrix.results) == set(crash_points(bus)), "every point in the code has a result"
    assert len(matrix.book.accepted) > 100


def test_crash_points_are_read_off_the_code() -> None:
    source = 'def f(self):\n    self._runtime.crash_point(f"{self._schema}.here")\n    crash_point("up.there")\n'
    assert list(points_in(source, "a.py")) == [
        "gateway.here",
        "fraud.here",
        "compliance.here",
        "ledger.here",
        "chain_bridge.here",
        "up.there",
    ]


def test_a_crash_point_whose_name_cannot_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a\.py:1"):
        list(points_in("runtime.crash_point(name)", "a.py"))
