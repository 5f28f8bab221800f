"""Which requests cost a look at the database, by a pool that counts, and the versions' pure converters."""

from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from rialto_common.errors import Unauthenticated
from rialto_common.simulation import SimulatedRuntime
from rialto_gateway import versions
from rialto_gateway.merchants.keys import STALE_SECONDS, ApiKeys, KeyNotAllowed, Principal


class CountingPool:
    """Knows one key, until it is revoked."""

    def __init__(self) -> None:
        self.looks = 0
        self.revoked = False

    async def fetchrow(self, _query: str, _hashed: bytes) -> dict[str, Any] | None:
        self.looks += 1
        row: dict[str, Any] = {
            "merchant_id": UUID(int=1),
            "mode": "test",
            "settlement_address": "0x",
            "kind": "secret",
            "scopes": [],
            "key_id": UUID(int=2),
            "api_version": versions.LATEST,
            "expires_at": None,
        }
        return None if self.revoked else row

    async def execute(self, _query: str, _keys: list[UUID], _at: datetime) -> None:
        """Take the note of when keys were used."""


class Clock(SimulatedRuntime):
    """A runtime whose monotonic clock a test sets."""

    seconds = 0.0

    def monotonic(self) -> float:
        """Return what was set."""
        return self.seconds

    def spawn(self, work: Any, *, name: str) -> Any:
        """Leave work beside the request undone, as on a machine that never gets to it."""
        work.close()


async def test_a_known_key_costs_no_look_and_a_stale_one_is_looked_up_before_it_is_let_in() -> None:
    pool, clock = CountingPool(), Clock(1)
    keys = ApiKeys(pool, clock, pepper="p", admin_key="a")  # type: ignore[arg-type]
    for _ in range(100):
        await keys.authenticate("Bearer sk_test_x")
    clock.seconds = STALE_SECONDS - 0.1
    await keys.authenticate("Bearer sk_test_x")
    assert pool.looks == 1
    pool.revoked = True
    clock.seconds = STALE_SECONDS
    with pytest.raises(Unauthenticated):
        await keys.authenticate("Bearer sk_test_x")
    assert STALE_SECONDS < 5


@pytest.mark.parametrize(
    ("scopes", "method", "path", "reaches"),
    [
        ({"payments:read"}, "GET", "/v1/payments/pay_1", True),
        ({"payments:read"}, "POST", "/v1/payments", False),
        ({"payments:write"}, "GET", "/v1/payments", True),
        ({"payments:write"}, "DELETE", "/v1/webhook_endpoints/we_1", False),
        ({"payments:write"}, "GET", "/v1", False),
    ],
)
def test_a_restricted_keys_reach_is_its_scopes(scopes: set[str], method: str, path: str, reaches: bool) -> None:
    principal = Principal(UUID(int=1), "test", "0x", "restricted", frozenset(scopes))
    if reaches:
        principal.check_reach(method, path)
    else:
        with pytest.raises(KeyNotAllowed):
            principal.check_reach(method, path)


def test_going_down_reaches_objects_within_lists_and_leaves_the_newest_as_it_is() -> None:
    key = {"object": "api_key", "id": "key_1", "secret": "s", "kind": "secret", "scopes": [], "api_version": "x"}
    listed = {"object": "list", "data": [key, {"object": "payment", "kind": "stays"}]}
    assert versions.down(listed, versions.LATEST) is listed
    older = versions.down(listed, versions.OLDEST)
    assert older["data"] == [{"object": "api_key", "id": "key_1", "key": "s"}, {"object": "payment", "kind": "stays"}]
    assert listed["data"][0] is key
    assert versions.up("api_key", {"mode": "live"}, versions.OLDEST) == {"kind": "secret", "mode": "live"}
