"""A key's limit over two gateways, and what its holder is told."""

import re
from typing import Any

from .platform_in_process import started


async def test_two_gateways_share_a_keys_limit_and_say_how_it_stands(database: Any) -> None:
    async with (
        started(database.dsn, rate_limit_per_second=10) as one,
        started(database.dsn, rate_limit_per_second=10) as other,
    ):
        merchant = await one.merchant()
        at = one.runtime.now()
        for platform in (one, other):
            platform.runtime.now = lambda: at  # type: ignore[method-assign]
        answers = [
            await platform.call("GET", "/v1/payments", key=merchant.test_key)
            for _ in range(20)
            for platform in (one, other)
        ]
        served = [answer for answer in answers if answer.status_code == 200]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert len(served) + len(refused) == 40
        assert 15 <= len(served) <= 20, "the two requests that opened its wallet count too"
        assert served[0].headers["ratelimit-policy"] == '"key";q=10;w=1'
        assert re.fullmatch(r'"key";r=\d+;t=1', served[0].headers["ratelimit"])
        assert (refused[0].json()["code"], refused[0].headers["retry-after"]) == ("rate_limited", "1")
        assert (await one.call("GET", "/v1/payments")).status_code == 200
