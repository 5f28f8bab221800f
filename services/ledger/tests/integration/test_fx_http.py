"""The FX routes on a real PostgreSQL: rates, quotes, conversions that use them once, positions."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from rialto_cli.testing import Database
from rialto_common import ids
from rialto_common.errors import Unauthenticated
from rialto_common.http import RequestFrame
from rialto_common.runtime import SystemRuntime
from rialto_common.service import Service
from rialto_common.service_tokens import Caller
from rialto_ledger.domain import chart
from rialto_ledger.fx_testing import ecb_page
from rialto_ledger.main import build
from rialto_ledger.settings import LedgerSettings
from rialto_ledger.testing import merchant_id, number_id

OPERATOR = Caller("gateway", None, "test")
LIVE = Caller("gateway", None, "live")
MERCHANT = Caller("gateway", merchant_id(0), "test")
STRANGER = Caller("gateway", merchant_id(1), "test")

CheckBooks = Callable[[], Awaitable[int]]


class LateRuntime(SystemRuntime):
    """The real thing, by a clock that a test can put forward."""

    late = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.late


class World:
    """The service without its port, with rates fetched once."""

    def __init__(self, service: Service[LedgerSettings], runtime: LateRuntime) -> None:
        self.service = service
        self.runtime = runtime
        self._app = RequestFrame(service.app, runtime=runtime, metrics=service._http_metrics)

    @asynccontextmanager
    async def client(self, caller: Caller | None = OPERATOR) -> AsyncIterator[httpx.AsyncClient]:
        """Lend a client with the caller's token."""
        headers = {}
        if caller is not None:
            headers["Authorization"] = f"Bearer {self.service.tokens.issue(caller, audience='ledger')}"
        transport = httpx.ASGITransport(app=self._app)
        async with httpx.AsyncClient(transport=transport, base_url="http://ledger", headers=headers) as client:
            yield client

    async def fetch_rates(self) -> None:
        """Let the keeper of rates look once."""
        await self.service._loops["fx-rates"]()

    async def wallet(self, currency: str, number: int = 0, *, money: int = 0, owner: Caller = OPERATOR) -> str:
        """Open a wallet of the owner and put money into it; return its id."""
        text = ids.to_text("wal", number_id(f"wallet {currency}", number))
        async with self.client(owner) as client:
            opened = await client.post("/v1/accounts", json={"id": text, "currency": currency})
            assert opened.status_code == 201, opened.text
            if money:
                top_up = {"id": je(f"money {currency}", number), "kind": "top_up", "wallet_id": text}
                paid = await client.post(
                    "/v1/journal_entries", json={**top_up, "amount_minor": str(money), "currency": currency}
                )
                assert paid.status_code == 201, paid.text
        return text

    async def balance(self, account: str) -> int:
        """Return an account's ledger balance."""
        async with self.client() as client:
            return int((await client.get(f"/v1/accounts/{account}")).json()["ledger_balance_minor"])


def je(kind: str, number: int = 0) -> str:
    return ids.to_text("je", number_id(kind, number))


@asynccontextmanager
async def running(database: Database, **settings: Any) -> AsyncIterator[World]:
    """Run the service on a database, with the rates that come with it unless told otherwise."""
    runtime = LateRuntime()
    configured = LedgerSettings(
        database_url=database.dsn("ledger"), service_token_secret="a secret of thirty-two characters", **settings
    )
    service = Service("ledger", configured, runtime, "api")
    await service.open()
    await build(service)
    world = World(service, runtime)
    await world.fetch_rates()
    yield world
    for closer in reversed(service._closers):
        await closer()


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with running(database) as world:
        yield world


async def quote(
    client: httpx.AsyncClient, amount: object = "10000", sell: str = "EUR", buy: str = "USD"
) -> dict[str, Any]:
    answer = await client.post(
        "/v1/fx/quotes", json={"sell_currency": sell, "sell_amount_minor": amount, "buy_currency": buy}
    )
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def convert(
    client: httpx.AsyncClient, quoted: dict[str, Any], source: str, target: str, entry: int = 0
) -> httpx.Response:
    """Ask for a conversion, and again, as a caller should, while the answer is 503."""
    body = {"id": je("conversion", entry), "from_account": source, "to_account": target}
    async with asyncio.timeout(30):
        while True:
            answer = await client.post(f"/v1/fx/quotes/{quoted['id']}/conversions", json=body)
            if answer.status_code != 503:
                return answer


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_a_rate_is_told_with_its_legs(world: World) -> None:
    async with world.client(MERCHANT) as client:
        rate = (await client.get("/v1/fx/rates", params={"base": "USD", "quote": "GBP"})).json()
    assert (rate["rate"], rate["source"], rate["stale"]) == ("0.8", "sample", False)
    assert [(leg["base"], leg["quote"], leg["rate"]) for leg in rate["legs"]] == [
        ("EUR", "USD", "1.0800"),
        ("EUR", "GBP", "0.8640"),
    ]


async def test_rates_that_cannot_be_told_are_clear_problems(world: World) -> None:
    async with world.client() as client:
        for params, expected in (
            ({"base": "EUR", "quote": "EUR"}, (400, "fx_same_currency")),
            ({"base": "EUR", "quote": "NOK"}, (404, "fx_rate_not_found")),
            ({"base": "EUR", "quote": "ZZZ"}, (400, "currency_unknown")),
            ({"base": "EUR"}, (400, "field_missing")),
        ):
            assert code(await client.get("/v1/fx/rates", params=params)) == expected


async def test_a_quote_is_made_held_and_read_back(world: World) -> None:
    async with world.client(MERCHANT) as client:
        made = await quote(client)
        assert made["id"].startswith("fxq_")
        assert (made["buy_amount_minor"], made["rate"], made["spread_bps"]) == ("10746", "1.08", 50)
        assert (made["merchant_id"], made["mode"]) == (ids.to_text("mer", merchant_id(0)), "test")
        held = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["quoted_at"])
        assert (held, made["used_by"]) == (timedelta(seconds=60), None)
        assert (await client.get(f"/v1/fx/quotes/{made['id']}")).json() == made


async def test_a_conversion_is_posted_once_and_repeats_its_first_answer(world: World, check_books: CheckBooks) -> None:
    euros, dollars = await world.wallet("EUR", money=15_000), await world.wallet("USD")
    async with world.client() as client:
        made = await quote(client)
        first = await convert(client, made, euros, dollars)
        world.runtime.late = timedelta(hours=1)
    async with world.client() as client:
        again = await convert(client, made, euros, dollars)
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json() == again.json()
        assert (await client.get(f"/v1/fx/quotes/{made['id']}")).json() == {**made, "used_by": first.json()["id"]}
    entry = first.json()
    assert [(line["account"], line["side"], line["amount_minor"], line["currency"]) for line in entry["postings"]] == [
        (chart.wallet_code(number_id("wallet EUR", 0)), "debit", "10000", "EUR"),
        ("fx:EUR/USD:position", "credit", "10000", "EUR"),
        ("fx:EUR/USD:position", "debit", "10746", "USD"),
        (chart.wallet_code(number_id("wallet USD", 0)), "credit", "10746", "USD"),
    ]
    assert entry["metadata"]["fx_quote_id"] == made["id"]
    assert entry["metadata"]["fx_rate"] == "EUR/USD 1.08"
    assert entry["metadata"]["fx_rate_source"] == "sample"
    assert datetime.fromisoformat(entry["metadata"]["fx_rate_observed_at"]) == datetime.fromisoformat(
        made["rate_observed_at"]
    )
    assert (await world.balance(euros), await world.balance(dollars)) == (5_000, 10_746)
    assert await check_books() == 2


async def test_the_entry_is_told_to_whoever_listens(world: World) -> None:
    euros, dollars = await world.wallet("EUR", money=10_000), await world.wallet("USD")
    async with world.client() as client:
        posted = await convert(client, await quote(client), euros, dollars)
    told = await world.service.pool.fetch(
        "SELECT data FROM bus.log WHERE type = 'rialto.journal_entry.posted.v1' AND data::TEXT LIKE '%fx_conversion%'"
    )
    assert len(told) == 1
    assert posted.json()["id"] in told[0]["data"]


async def test_a_used_quote_is_refused_to_another_entry(world: World) -> None:
    euros, dollars = await world.wallet("EUR", money=50_000), await world.wallet("USD")
    async with world.client() as client:
        made = await quote(client)
        assert (await convert(client, made, euros, dollars)).status_code == 201
        assert code(await convert(client, made, euros, dollars, entry=1)) == (409, "fx_quote_used")
        other = await quote(client)
        reused = await convert(client, other, euros, dollars)
        assert code(reused) == (422, "entry_id_reused_with_other_content")
        elsewhere = await convert(client, made, euros, await world.wallet("USD", 1))
        assert code(elsewhere) == (422, "entry_id_reused_with_other_content")
        assert (await client.get(f"/v1/fx/quotes/{other['id']}")).json()["used_by"] is None
    assert await world.balance(euros) == 40_000


async def test_of_many_entries_that_race_for_a_quote_one_wins(
    database: Database, world: World, check_books: CheckBooks
) -> None:
    euros, dollars = await world.wallet("EUR", money=1_000_000), await world.wallet("USD")
    async with running(database) as second, world.client() as one, second.client() as two:
        made = await quote(one)
        free = [await quote(one) for _ in range(5)]
        # The same quote from two processes, among conversions at quotes of their own, which share its transactions.
        answers = await asyncio.gather(
            *(convert((one, two)[n % 2], made, euros, dollars, n) for n in range(20)),
            *(convert((one, two)[n % 2], free[n], euros, dollars, 100 + n) for n in range(5)),
        )
    assert [answer.status_code for answer in answers[20:]] == [201] * 5
    assert sorted(answer.status_code for answer in answers[:20]) == [201] + [409] * 19
    assert await world.balance(euros) == 1_000_000 - 6 * 10_000
    assert await check_books() == 7
    await assert_uses_and_entries_agree(database, 6)


async def test_the_same_conversion_sent_many_times_at_once_moves_money_once(database: Database, world: World) -> None:
    euros, dollars = await world.wallet("EUR", money=1_000_000), await world.wallet("USD")
    async with running(database) as second, world.client() as one, second.client() as two:
        made = await quote(one)
        answers = await asyncio.gather(*(convert((one, two)[n % 2], made, euros, dollars) for n in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert all(answer.json() == answers[0].json() for answer in answers)
    assert await world.balance(euros) == 990_000
    await assert_uses_and_entries_agree(database, 1)


async def assert_uses_and_entries_agree(database: Database, expected: int) -> None:
    """Every conversion's entry uses a quote, every use has its entry, and the amounts are the quote's."""
    auditor = await asyncpg.connect(database.dsn("auditor"))
    try:
        rows = await auditor.fetch("""
            SELECT u.quote_id, e.id, p.amount_minor = q.sell_amount_minor AS agrees
            FROM (SELECT id FROM ledger.journal_entries WHERE kind = 'fx_conversion') AS e
            FULL JOIN ledger.fx_quote_uses AS u ON u.entry_id = e.id
            LEFT JOIN ledger.fx_quotes AS q ON q.id = u.quote_id
            LEFT JOIN ledger.postings AS p ON p.entry_id = e.id AND p.line = 0
        """)
    finally:
        await auditor.close()
    assert len(rows) == expected
    assert all(row["agrees"] for row in rows)


async def test_a_quote_that_ran_out_is_refused(world: World) -> None:
    euros, dollars = await world.wallet("EUR", money=50_000), await world.wallet("USD")
    async with world.client() as client:
        made = await quote(client)
    world.runtime.late = timedelta(seconds=61)
    async with world.client() as client:
        assert code(await convert(client, made, euros, dollars)) == (409, "fx_quote_expired")
    assert await world.balance(euros) == 50_000


async def test_a_conversion_without_the_funds_leaves_its_quote_to_be_used_once_they_are_there(world: World) -> None:
    euros, dollars = await world.wallet("EUR"), await world.wallet("USD")
    async with world.client() as client:
        made = await quote(client)
        assert code(await convert(client, made, euros, dollars)) == (409, "insufficient_funds")
        top_up = {"id": je("late money"), "kind": "top_up", "wallet_id": euros, "currency": "EUR"}
        await client.post("/v1/journal_entries", json={**top_up, "amount_minor": "10000"})
        assert (await convert(client, made, euros, dollars)).status_code == 201


async def test_accounts_must_fit_the_quote(world: World) -> None:
    euros, dollars = await world.wallet("EUR", money=50_000), await world.wallet("USD", money=500)
    async with world.client() as client:
        made = await quote(client)
        acquirer = (await client.get("/v1/accounts", params={"code": "acquirer:test:receivable"})).json()["data"]
        receivable = next(account["id"] for account in acquirer if account["currency"] == "EUR")
        for source, target, expected in (
            (dollars, euros, (400, "currency_mismatch")),
            (euros, euros, (400, "currency_mismatch")),
            (receivable, dollars, (400, "fx_account_not_convertible")),
            (euros, receivable, (400, "fx_account_not_convertible")),
            (euros, ids.to_text("wal", number_id("nobody", 0)), (404, "account_not_found")),
            ("wal_nonsense", dollars, (400, "id_invalid")),
        ):
            assert code(await convert(client, made, source, target)) == expected
        assert (await convert(client, made, euros, dollars)).status_code == 201


async def test_a_merchant_deals_with_its_own_quotes_and_accounts_only(world: World) -> None:
    euros = await world.wallet("EUR", money=50_000, owner=MERCHANT)
    dollars = await world.wallet("USD", owner=MERCHANT)
    platforms = await world.wallet("EUR", 1, money=50_000)
    async with world.client(MERCHANT) as client, world.client(STRANGER) as stranger, world.client() as operator:
        made = await quote(client)
        assert code(await stranger.get(f"/v1/fx/quotes/{made['id']}")) == (404, "fx_quote_not_found")
        assert code(await convert(stranger, made, euros, dollars)) == (404, "fx_quote_not_found")
        theirs = await quote(stranger)
        assert code(await convert(stranger, theirs, euros, dollars)) == (404, "account_not_found")
        # A platform's wallet may be charged by payments, not sold from.
        assert code(await convert(client, made, platforms, dollars)) == (404, "account_not_found")
        assert (await operator.get(f"/v1/fx/quotes/{made['id']}")).json() == made
        assert (await convert(client, made, euros, dollars)).status_code == 201
        assert code(await client.get("/v1/fx/positions")) == (403, "forbidden")


async def test_modes_do_not_mix_and_sample_rates_price_test_mode_only(world: World) -> None:
    async with world.client() as client, world.client(LIVE) as live:
        made = await quote(client)
        assert code(await live.get(f"/v1/fx/quotes/{made['id']}")) == (404, "fx_quote_not_found")
        asked = {"sell_currency": "EUR", "sell_amount_minor": "100", "buy_currency": "USD"}
        assert code(await live.post("/v1/fx/quotes", json=asked)) == (403, "fx_sample_rate")
        assert (await live.get("/v1/fx/positions")).json() == {"data": []}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"buy_currency": "EUR"}, "fx_same_currency"),
        ({"buy_currency": "ZZZ"}, "currency_unknown"),
        ({"sell_amount_minor": "0"}, "amount_invalid"),
        ({"sell_amount_minor": 1.5}, "amount_invalid"),
        ({"sell_currency": "JPY", "sell_amount_minor": "0"}, "amount_invalid"),
        ({"sell_currency": "RUSD", "sell_amount_minor": "1"}, "fx_amount_too_small"),
        ({"buy_currency": "ETH", "sell_amount_minor": "9" * 38}, "fx_amount_too_large"),
        ({"extra": "field"}, "unknown_field"),
    ],
)
async def test_bad_quotes_are_clear_problems(world: World, changes: dict[str, object], expected: str) -> None:
    asked = {"sell_currency": "EUR", "sell_amount_minor": "100", "buy_currency": "USD", **changes}
    async with world.client() as client:
        assert code(await client.post("/v1/fx/quotes", json=asked)) == (400, expected)


async def test_without_a_token_there_is_nothing(world: World) -> None:
    async with world.client(None) as client:
        for path in ("/v1/fx/rates?base=EUR&quote=USD", "/v1/fx/positions", f"/v1/fx/quotes/{'x' * 30}"):
            assert code(await client.get(path)) == (401, Unauthenticated.code)
        assert (await client.post("/v1/fx/quotes", json={})).status_code in (400, 401)


async def test_old_rates_are_told_as_stale_and_nothing_is_quoted_at_them(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "rates.xml"
    path.write_bytes(ecb_page(date="2020-01-02", USD="1.1193"))
    asked = {"sell_currency": "EUR", "sell_amount_minor": "100", "buy_currency": "USD"}
    async with running(database, fx_rates=str(path)) as world, world.client() as client:
        rate = (await client.get("/v1/fx/rates", params={"base": "EUR", "quote": "USD"})).json()
        assert (rate["stale"], rate["source"]) == (True, "file")
        refused = await client.post("/v1/fx/quotes", json=asked)
        assert code(refused) == (503, "fx_rate_stale")
        assert refused.json()["retryable"] is True
        path.write_bytes(ecb_page(date=None, USD="1.2000"))
        await world.fetch_rates()
        assert (await quote(client, "100"))["buy_amount_minor"] == "119"


async def test_the_positions_agree_with_the_books_and_so_does_their_gain(world: World) -> None:
    euros, dollars = await world.wallet("EUR", money=50_000), await world.wallet("USD", money=50_000)
    async with world.client() as client:
        for number, (sell, amount) in enumerate([("EUR", "10000"), ("USD", "5400"), ("USD", "10800")]):
            wallets = (euros, dollars) if sell == "EUR" else (dollars, euros)
            made = await quote(client, amount, sell, "USD" if sell == "EUR" else "EUR")
            assert (await convert(client, made, *wallets, entry=number)).status_code == 201
        [position] = (await client.get("/v1/fx/positions")).json()["data"]
        accounts = (await client.get("/v1/accounts", params={"code": "fx:EUR/USD:position"})).json()["data"]
    booked = {account["currency"]: account["ledger_balance_minor"] for account in accounts}
    assert position["pair"] == "EUR/USD"
    assert {"EUR": position["base_minor"], "USD": position["quote_minor"]} == booked == {"EUR": "-4925", "USD": "5454"}
    assert (position["cost_minor"], position["realised_gain_minor"]) == ("-5346", "108")
    assert (position["closing_rate"]["rate"], position["unrealised_gain_minor"]) == ("1.08", "27")
