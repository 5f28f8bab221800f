"""The API of the books as they were: balances as of an instant, statements by pages, the trial balance."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from rialto_cli.testing import Database
from rialto_common import ids
from rialto_common.bus.postgres import PostgresUnitOfWork
from rialto_common.database import Pool, load_queries
from rialto_common.service_tokens import Caller
from rialto_ledger.adapters.postgres import PostgresLedger
from rialto_ledger.adapters.postgres_books import PostgresBooks
from rialto_ledger.application.posting import post
from rialto_ledger.domain.commands import Command, OpenAccount
from rialto_ledger.domain.statement import AsOf, Turnover
from rialto_ledger.testing import NOW, Payment, merchant_id, open_wallet, top_up, wallet

from .api_world import MERCHANT, OPERATOR, STRANGER, World

WALLET = f"/v1/accounts/{ids.to_text('wal', wallet(0).id)}"
OWN = f"/v1/accounts/{ids.to_text('wal', wallet(7).id)}"
DoAt = Callable[..., Awaitable[None]]


def at(seconds: int) -> datetime:
    return NOW + timedelta(seconds=seconds)


def text(instant: datetime) -> str:
    return instant.isoformat()


@pytest.fixture
def do(unit_of_work: PostgresUnitOfWork) -> DoAt:
    """Post commands as of a time that has passed long since."""

    async def do(*commands: Command, when: datetime) -> None:
        async with unit_of_work.begin() as transaction:
            posted = await post(PostgresLedger(transaction.connection), commands, when)
        assert {outcome.status.value for outcome in posted.decision.outcomes} == {"applied"}

    return do


@pytest.fixture
async def past(world: World, do: DoAt) -> World:
    """Ten payments into the first wallet, of 1 to 10 cents, a second apart; the last is known to have been the first.

    A merchant owns another wallet, with one payment.
    """
    await do(open_wallet(), OpenAccount(wallet(7, owner=merchant_id(0))), when=NOW)
    for number in range(1, 11):
        happened = at(0) if number == 10 else at(number)
        await do(top_up(0, number, entry=number)._replace(effective_at=happened), when=at(number))
    await do(top_up(7, 5, entry=70)._replace(about=wallet(7).id), when=at(11))
    return world


async def get(
    world: World, path: str, params: dict[str, str] | None = None, *, caller: Caller = OPERATOR
) -> httpx.Response:
    async with world.client(caller) as client:
        return await client.get(path, params=params)


async def test_a_balance_is_as_of_both_its_times(past: World) -> None:
    async def balance(**times: str) -> tuple[int, Any]:
        body = (await get(past, f"{WALLET}/balance", times)).json()
        return int(body["ledger_balance_minor"]), body["available_balance_minor"]

    assert await balance() == (55, "55")
    assert await balance(recorded_at=text(at(4))) == (10, None)
    assert await balance(effective_at=text(at(4))) == (20, None)
    assert await balance(effective_at=text(at(4)), recorded_at=text(at(9))) == (10, None)
    assert await balance(recorded_at=text(at(-1))) == (0, None)
    shifted = at(4).astimezone().isoformat()
    assert await balance(recorded_at=shifted) == (10, None)


async def test_a_balance_tells_what_it_was_asked(past: World) -> None:
    body = (await get(past, f"{WALLET}/balance", {"effective_at": "2026-03-01T14:00:04+02:00"})).json()
    assert body == {
        "account_id": ids.to_text("acc", wallet(0).id),
        "currency": "USD",
        "effective_at": "2026-03-01T12:00:04Z",
        "recorded_at": None,
        "ledger_balance_minor": "20",
        "available_balance_minor": None,
        "debits_minor": "0",
        "credits_minor": "20",
    }


@pytest.mark.parametrize("limit", ["1", "3", "4", "5", "100"])
async def test_pages_concatenated_are_the_whole_statement(past: World, limit: str) -> None:
    first = (await get(past, f"{WALLET}/statement", {"from": text(at(3)), "to": text(at(11)), "limit": limit})).json()
    assert (first["from"], first["to"]) == ("2026-03-01T12:00:03Z", "2026-03-01T12:00:11Z")
    assert (first["opening_balance_minor"], first["closing_balance_minor"]) == ("3", "55")
    data, shown = first["data"], first
    while shown["next_cursor"] is not None:
        shown = (await get(past, f"{WALLET}/statement", {"after": shown["next_cursor"], "limit": limit})).json()
        assert {**shown, "data": [], "next_cursor": None} == {**first, "data": [], "next_cursor": None}
        data += shown["data"]
    assert [line["amount_minor"] for line in data] == [str(number) for number in range(3, 11)]
    assert [int(line["ledger_balance_minor"]) for line in data] == [6, 10, 15, 21, 28, 36, 45, 55]
    assert {line["side"] for line in data} == {"credit"}
    assert data[-1]["entry_id"] == ids.to_text("je", top_up(0, 10, entry=10).entry_id)
    assert (data[-1]["effective_at"], data[-1]["recorded_at"]) == ("2026-03-01T12:00:00Z", "2026-03-01T12:00:10Z")


async def test_what_is_posted_between_two_pages_changes_neither_of_them(past: World, do: DoAt) -> None:
    first = (await get(past, f"{WALLET}/statement", {"limit": "4"})).json()
    assert first["to"] < text(past.service.runtime.now() - timedelta(seconds=59))
    await do(top_up(0, 1000, entry=11), when=past.service.runtime.now())
    rest = (await get(past, f"{WALLET}/statement", {"after": first["next_cursor"]})).json()
    assert [line["amount_minor"] for line in first["data"] + rest["data"]] == [str(n) for n in range(1, 11)]
    assert (rest["closing_balance_minor"], rest["next_cursor"]) == ("55", None)


async def test_a_posting_that_commits_long_after_its_time_never_makes_a_statement_that_does_not_add_up(
    past: World, do: DoAt
) -> None:
    first = (await get(past, f"{WALLET}/statement", {"limit": "4"})).json()
    await do(top_up(0, 1000, entry=12), when=at(2))
    rest = (await get(past, f"{WALLET}/statement", {"after": first["next_cursor"]})).json()
    assert [line["amount_minor"] for line in first["data"] + rest["data"]] == [str(n) for n in range(1, 11)]
    await do(top_up(0, 1000, entry=13), when=at(9))
    refused = await get(past, f"{WALLET}/statement", {"after": first["next_cursor"]})
    assert (refused.status_code, refused.json()["code"]) == (
        409,
        "statement_changed",
    )


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"from": "2026-03-02T00:00:00Z", "to": "2026-03-01T00:00:00Z"}, "period_invalid"),
        ({"from": "9000-01-01T00:00:00Z"}, "period_invalid"),
        ({"from": "2026-03-02"}, "invalid_request"),
        ({"from": "2026-03-02T00:00:00"}, "invalid_request"),
        ({"to": "0001-01-01T00:00:00+14:00"}, "invalid_request"),
        ({"to": "9999-12-31T23:59:59-14:00"}, "invalid_request"),
        ({"limit": "0"}, "invalid_request"),
        ({"limit": "1001"}, "invalid_request"),
        ({"after": "nonsense"}, "cursor_invalid"),
        ({"after": "nonsense", "to": "2026-03-02T00:00:00Z"}, "cursor_invalid"),
    ],
)
async def test_a_statement_that_cannot_be_is_refused(world: World, do: DoAt, params: dict[str, str], code: str) -> None:
    await do(open_wallet(), when=NOW)
    refused = await get(world, f"{WALLET}/statement", params)
    assert (refused.status_code, refused.json()["code"]) == (400, code)


@pytest.mark.parametrize("what", ["balance", "statement"])
async def test_history_is_its_owners_and_the_operators(past: World, what: str) -> None:
    assert (await get(past, f"{OWN}/{what}", caller=MERCHANT)).status_code == 200
    assert (await get(past, f"{OWN}/{what}")).status_code == 200
    anothers = await get(past, f"{OWN}/{what}", caller=STRANGER)
    assert (anothers.status_code, anothers.json()["code"]) == (404, "account_not_found")
    platforms = await get(past, f"{WALLET}/{what}", caller=MERCHANT)
    assert (platforms.status_code, platforms.json()["code"]) == (403, "operator_only")
    live = await get(past, f"{OWN}/{what}", caller=Caller("gateway", merchant_id(0), "live"))
    assert live.status_code == 404
    none = await get(past, f"/v1/accounts/{ids.to_text('wal', wallet(99).id)}/{what}")
    assert none.status_code == 404


async def test_a_cursor_of_another_account_is_refused(past: World) -> None:
    cursor = (await get(past, f"{WALLET}/statement", {"limit": "1"})).json()["next_cursor"]
    refused = await get(past, f"{OWN}/statement", {"after": cursor})
    assert (refused.status_code, refused.json()["code"]) == (400, "cursor_invalid")


async def test_the_trial_balance_shows_each_currency_and_comes_to_zero(past: World, do: DoAt) -> None:
    payment = Payment(amount_minor=20)
    await do(payment.place(), payment.capture(), payment.confirm(), when=at(20))
    body = (await get(past, "/v1/trial_balance")).json()
    assert (body["mode"], body["recorded_at"]) == ("test", None)
    assert [currency["currency"] for currency in body["data"]] == ["RUSD", "USD"]
    assert {currency["difference_minor"] for currency in body["data"]} == {"0"}
    usd = {line["account"]: line["ledger_balance_minor"] for line in body["data"][1]["accounts"]}
    assert usd == {
        "acquirer:test:receivable": "60",
        "customer:*:wallet": "40",
        "fx:USD/RUSD:position": "20",
        "merchant:*:payable": "0",
    }
    earlier = (await get(past, "/v1/trial_balance", {"recorded_at": text(at(2))})).json()["data"]
    dollars = next(currency for currency in earlier if currency["currency"] == "USD")
    assert (dollars["debits_minor"], dollars["credits_minor"]) == ("3", "3")
    refused = await get(past, "/v1/trial_balance", caller=MERCHANT)
    assert (refused.status_code, refused.json()["code"]) == (403, "operator_only")


async def test_a_past_balance_stands_still_while_postings_arrive(past: World, pool: Pool, do: DoAt) -> None:
    books, acquirer = PostgresBooks(pool), top_up(0, 1).opens[0]

    async def keep_posting() -> None:
        for number in range(100, 200):
            await do(top_up(0, 1, entry=number), when=at(number))

    posting = asyncio.create_task(keep_posting())
    seen = set()
    while not posting.done():
        for account, side in ((wallet(0), "credits_minor"), (acquirer, "debits_minor")):
            # Seen from NOW every instant lies late in the account's life: the way leads back from the totals.
            known = await books.turnover(account.id, AsOf(at(10), at(10)), NOW)
            assert getattr(known, side) == 55
        lines = await books.trial_balance("test", at(10), NOW)
        assert [line.turnover for line in lines] == [Turnover(55, 0), Turnover(0, 55)]
        seen.add((await books.turnover(wallet(0).id, AsOf(), NOW)).credits_minor)
    await posting
    assert len(seen) > 2


async def test_history_goes_by_index_also_before_the_first_analyze(database: Database, pool: Pool) -> None:
    owner = await asyncpg.connect(database.superuser_dsn())
    await owner.execute("SET session_replication_role = replica")
    for statement in (
        """INSERT INTO ledger.accounts (id, code, type, normal_side, currency, mode, shard, opened_at)
            SELECT ('019c0000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::UUID, 'c' || n, 'liability', 'credit',
                'USD', 'test', 0, '2026-01-01' FROM generate_series(0, 99) AS n""",
        """INSERT INTO ledger.journal_entries
            SELECT ('019c0000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::UUID, 'transfer', 'test', 0, NULL, NULL,
                NULL, t, t, '{}', n, sha256('')
            FROM generate_series(1, 30000) AS n, LATERAL (SELECT '2026-01-01'::TIMESTAMPTZ + n * INTERVAL '1s' AS t)""",
        """INSERT INTO ledger.postings (entry_id, line, account_id, side, amount_minor, currency, recorded_at)
            SELECT e.id, line, ('019c0000-0000-7000-8000-' || lpad(to_hex(e.chain_position % 100), 12, '0'))::UUID,
                'credit', 5, 'USD', e.recorded_at
            FROM ledger.journal_entries AS e, generate_series(0, 1) AS line ORDER BY e.recorded_at""",
    ):
        await owner.execute(statement)
    queries = load_queries("rialto_ledger.adapters", "books_queries.sql")
    account, middle, end = wallet(0).id, datetime.fromisoformat("2026-01-01T04:00Z"), NOW
    statements: dict[str, tuple[Any, ...]] = {
        "turnover": (account, middle, end, end),
        "period_turnover": (account, middle, end),
        "lines": (account, middle, account, 0, end, 100),
    }
    for name, arguments in statements.items():
        plan = [row[0] for row in await pool.fetch(f"EXPLAIN (COSTS OFF) {queries[name]}", *arguments)]
        # The archived months are a row each.
        assert not any("Seq Scan" in line and "archived_months" not in line for line in plan), plan
    await owner.execute("VACUUM (ANALYZE) ledger.postings")
    late = datetime.fromisoformat("2026-01-01T08:00Z")
    plan = [row[0] for row in await pool.fetch(f"EXPLAIN {queries['trial_balance']}", "test", late, late)]
    assert any("recorded" in line and "Bitmap Index Scan" in line for line in plan), plan
    await owner.close()
