"""Batches decided while the one before them is committed: never on anything but what the books turned out to be."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from rialto_common.bus.postgres import PostgresTransaction, PostgresUnitOfWork
from rialto_common.database import Pool
from rialto_common.errors import CommitUnknown
from rialto_common.runtime import SystemRuntime
from rialto_ledger.adapters.postgres import PostgresLedger, PostgresReader
from rialto_ledger.application.ahead import Draft, Remembered
from rialto_ledger.application.ports import Known, Ledger
from rialto_ledger.application.poster import Answer, CoalescingPoster
from rialto_ledger.application.posting import Posted, post
from rialto_ledger.domain.account import AccountStatus
from rialto_ledger.domain.batch import Decision
from rialto_ledger.domain.chain import ChainHead, Link
from rialto_ledger.domain.commands import ChangeAccountStatus, Command, PostEntry
from rialto_ledger.domain.journal import credit, debit
from rialto_ledger.testing import NOW, number_id, open_wallet, top_up, wallet

from .test_concurrency import post_until_committed
from .test_concurrent_chains import check_chains

CheckBooks = Callable[[], Any]


class Watched:
    """A poster, and what became of each of its drafts: whether it still stood."""

    def __init__(self, unit_of_work: PostgresUnitOfWork) -> None:
        self.sent = 0
        self.stood: list[bool] = []
        self.linked: list[bool] = []
        self.kept: list[bool] = []
        self.hold_next: asyncio.Event | None = None
        self.break_next: Exception | None = None
        self.lose_next_answer = False
        self.unit_of_work = unit_of_work
        self.poster = CoalescingPoster(self.begin, self.ledger_of, SystemRuntime(), ahead_commands=1)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[PostgresTransaction]:
        async with self.unit_of_work.begin() as transaction:
            yield transaction
        if self.lose_next_answer:
            self.lose_next_answer = False
            raise CommitUnknown("the answer was lost")

    def ledger_of(self, transaction: PostgresTransaction) -> PostgresLedger:
        watched = self

        class Watching(PostgresLedger):
            async def save_as_known(
                self, known: Known, decision: Decision, links: Sequence[Link], now: datetime
            ) -> dict[int, ChainHead] | None:
                watched.sent += 1
                ends = await super().save_as_known(known, decision, links, now)
                watched.stood.append(ends is not None)
                watched.linked.append(ends == known.ends)
                await watched.written()
                return ends

            async def save(self, decision: Decision, links: Sequence[Link], now: datetime) -> None:
                await super().save(decision, links, now)
                await watched.written()

        return Watching(transaction.connection)

    async def written(self) -> None:
        """Keep a transaction that has written its batch from its end, or break it, where a test asks for it."""
        if self.hold_next is not None:
            held, self.hold_next = self.hold_next, None
            await held.wait()
        if self.break_next is not None:
            error, self.break_next = self.break_next, None
            raise error

    async def all(self, *commands: Command) -> list[str]:
        """Post commands, each as a request of its own, at once; return what each came to."""
        return [said(answer) for answer in await asyncio.gather(*(self.poster.post(command) for command in commands))]


@pytest.fixture
async def watched(unit_of_work: PostgresUnitOfWork, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """A poster that remembers three wallets with 100 cents each."""
    watched = Watched(unit_of_work)
    write = Draft.write

    async def written(draft: Draft, ledger: Ledger) -> Posted | None:
        posted = None
        try:
            posted = await write(draft, ledger)
        finally:
            watched.kept.append(posted is not None)
        return posted

    monkeypatch.setattr(Draft, "write", written)
    await watched.all(*[open_wallet(n) for n in range(3)], *[top_up(n, 100, entry=n) for n in range(3)])
    return watched


def said(answer: Answer) -> str:
    outcome = answer.outcome
    return outcome.error.stable_code if outcome.error else outcome.status.value


def transfer(number: int, amount: int, source: int = 0, target: int = 1) -> PostEntry:
    postings = (debit(wallet(source).id, amount, "USD"), credit(wallet(target).id, amount, "USD"))
    return PostEntry(
        number_id("entry", number), "transfer", postings[0].account_id, "test", None, None, postings, (), NOW
    )


async def balances(pool: Pool) -> list[int]:
    reader = PostgresReader(pool)
    accounts = [await reader.account(wallet(number).id) for number in range(3)]
    return [account.credits_minor - account.debits_minor for account in accounts if account]


async def test_requests_on_known_accounts_are_decided_ahead_and_written_as_decided(
    watched: Watched, pool: Pool, check_books: CheckBooks
) -> None:
    assert await watched.all(transfer(1, 40), transfer(2, 40), transfer(3, 40)) == ["applied"] * 2 + [
        "insufficient_funds"
    ]
    assert await watched.all(transfer(4, 140, 1, 2), transfer(5, 41, 1, 2)) == ["applied", "insufficient_funds"]
    assert watched.stood == [True, True]
    assert await balances(pool) == [20, 40, 240]
    assert await check_books() == 6
    await check_chains(pool, 6)


async def test_batches_that_overlap_build_on_each_other(watched: Watched, pool: Pool, check_books: CheckBooks) -> None:
    """Each request is sent while the one before it is under way, and spends what that one brought."""
    assert await watched.all(transfer(100, 100, 1, 0)) == ["applied"]
    tasks = []
    for number in range(20):
        command = transfer(number, 200)
        tasks.append(asyncio.create_task(watched.poster.post(command)))
        await asyncio.sleep(0.001)
        tasks.append(asyncio.create_task(watched.poster.post(_back(command))))
        await asyncio.sleep(0.001)
    assert {said(answer) for answer in await asyncio.gather(*tasks)} == {"applied"}
    assert all(watched.stood)
    assert await balances(pool) == [200, 0, 100]
    await check_chains(pool, await check_books())


def _back(command: PostEntry) -> PostEntry:
    return command._replace(
        entry_id=number_id("back", command.entry_id.int % 10**9),
        postings=tuple(posting.reversed() for posting in command.postings),
    )


async def test_what_another_poster_spent_is_not_spent_again(
    watched: Watched, unit_of_work: PostgresUnitOfWork, pool: Pool, check_books: CheckBooks
) -> None:
    await post_until_committed(unit_of_work, [transfer(1, 80)])
    assert await watched.all(transfer(2, 80)) == ["insufficient_funds"]
    assert watched.stood == [False]
    assert await watched.all(transfer(3, 20)) == ["applied"]
    assert await balances(pool) == [0, 200, 100]
    await check_chains(pool, await check_books())


async def test_an_account_that_was_frozen_meanwhile_is_frozen(
    watched: Watched, unit_of_work: PostgresUnitOfWork, check_books: CheckBooks
) -> None:
    freeze = ChangeAccountStatus(wallet(0).id, AccountStatus.FROZEN, "test", "a test")
    await post_until_committed(unit_of_work, [freeze])
    assert await watched.all(transfer(1, 10)) == ["account_frozen"]
    await post_until_committed(unit_of_work, [replace(freeze, status=AccountStatus.OPEN)])
    assert await watched.all(transfer(2, 10)) == ["applied"]
    assert await check_books() == 4


async def test_a_repetition_gets_the_first_answer_whenever_it_comes(
    watched: Watched, pool: Pool, check_books: CheckBooks
) -> None:
    assert await watched.all(transfer(1, 10), transfer(1, 10)) == ["applied", "duplicate"]
    assert await watched.all(transfer(1, 10), transfer(1, 11)) == ["duplicate", "entry_id_reused_with_other_content"]
    under_way = asyncio.create_task(watched.poster.post(transfer(2, 10)))
    await asyncio.sleep(0)
    again = asyncio.create_task(watched.poster.post(transfer(2, 10)))
    assert [said(await under_way), said(await again)] == ["applied", "duplicate"]
    assert await balances(pool) == [80, 120, 100]
    await check_chains(pool, await check_books())


async def test_a_draft_whose_commit_lost_its_answer_moves_money_once(
    watched: Watched, pool: Pool, check_books: CheckBooks
) -> None:
    watched.lose_next_answer = True
    assert await watched.all(transfer(1, 10), transfer(2, 10)) == ["duplicate", "duplicate"]
    assert await watched.all(transfer(3, 10)) == ["applied"]
    assert await balances(pool) == [70, 130, 100]
    await check_chains(pool, await check_books())


@pytest.mark.parametrize("error", [ConnectionResetError("gone"), ValueError("broken")])
async def test_what_was_decided_on_a_draft_that_fell_is_decided_anew(
    watched: Watched, pool: Pool, check_books: CheckBooks, error: Exception
) -> None:
    """The first request brings the money that the second spends; its transaction breaks when both are decided."""
    watched.break_next = error
    first = asyncio.create_task(watched.poster.post(transfer(1, 100, 0, 1)))
    await asyncio.sleep(0)
    second = asyncio.create_task(watched.poster.post(transfer(2, 200, 1, 2)))
    assert [said(await first), said(await second)] == ["applied", "applied"]
    assert await balances(pool) == [0, 0, 300]
    await check_chains(pool, await check_books())


@pytest.fixture
def sends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drafts of any size are sent while the batch before them is under way."""
    monkeypatch.setattr("rialto_ledger.application.poster.EARLY_COMMANDS", 1)


async def until(holds: Callable[[], bool]) -> None:
    """Return once something holds."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - of what the poster does by itself there is no event
            await asyncio.sleep(0.001)


async def send_two(watched: Watched, first: PostEntry, second: PostEntry) -> tuple[asyncio.Task[Answer], ...]:
    """Post an entry and hold its transaction open until the draft of the next one has been sent."""
    held = watched.hold_next = asyncio.Event()
    tasks = [asyncio.create_task(watched.poster.post(first))]
    await until(lambda: watched.hold_next is None)
    tasks.append(asyncio.create_task(watched.poster.post(second)))
    await until(lambda: watched.sent == 2)
    held.set()
    return tuple(tasks)


async def test_a_draft_is_sent_while_the_one_that_it_builds_on_is_under_way(
    watched: Watched, sends_early: None, pool: Pool, check_books: CheckBooks
) -> None:
    """The second spends what the first brings, and is in the database's hands before the first is committed."""
    tasks = await send_two(watched, transfer(1, 100, 0, 1), transfer(2, 200, 1, 2))
    assert [said(await task) for task in tasks] == ["applied", "applied"]
    assert (watched.stood, watched.linked) == ([True, True], [True, True])
    assert await balances(pool) == [0, 0, 300]
    await check_chains(pool, await check_books())


@pytest.mark.parametrize("error", [ConnectionResetError("gone"), ValueError("broken")])
async def test_a_draft_that_was_sent_on_one_that_fell_falls_too(
    watched: Watched, sends_early: None, pool: Pool, check_books: CheckBooks, error: Exception
) -> None:
    watched.break_next = error
    tasks = await send_two(watched, transfer(1, 100, 0, 1), transfer(2, 200, 1, 2))
    assert [said(await task) for task in tasks] == ["applied", "applied"]
    assert watched.kept == [False, False]
    assert await balances(pool) == [0, 0, 300]
    await check_chains(pool, await check_books())


async def test_a_draft_does_not_take_what_another_poster_did_for_what_it_builds_on(
    watched: Watched, sends_early: None, unit_of_work: PostgresUnitOfWork, pool: Pool, check_books: CheckBooks
) -> None:
    """The other gives both accounts the versions that the first draft would have given them."""
    async with unit_of_work.begin() as transaction:
        await post(PostgresLedger(transaction.connection), [transfer(9, 50, 1, 0)], NOW)
        tasks = [asyncio.create_task(watched.poster.post(transfer(1, 100, 0, 1)))]
        await until(lambda: watched.sent == 1)
        tasks.append(asyncio.create_task(watched.poster.post(transfer(2, 40, 1, 2))))
        await until(lambda: watched.sent == 2)
    assert [said(await task) for task in tasks] == ["applied", "applied"]
    assert watched.kept == [False, False]
    assert await balances(pool) == [50, 110, 140]
    await check_chains(pool, await check_books())


async def test_one_identity_in_two_drafts_under_way_moves_money_once(
    watched: Watched, sends_early: None, pool: Pool, check_books: CheckBooks
) -> None:
    held = watched.hold_next = asyncio.Event()
    tasks = [asyncio.create_task(watched.poster.post(transfer(1, 10)))]
    await until(lambda: watched.hold_next is None)
    tasks.append(asyncio.create_task(watched.poster.post(transfer(2, 10))))
    await until(lambda: watched.sent == 2)
    for command in (transfer(1, 10), transfer(1, 10, 2, 0), transfer(2, 11)):
        tasks.append(asyncio.create_task(watched.poster.post(command)))
    held.set()
    answers = [said(await task) for task in tasks]
    reused = "entry_id_reused_with_other_content"
    assert answers == ["applied", "applied", "duplicate", reused, reused]
    assert await balances(pool) == [80, 120, 100]
    await check_chains(pool, await check_books())


async def test_where_only_the_chains_have_grown_a_draft_is_linked_to_their_new_ends(
    watched: Watched, unit_of_work: PostgresUnitOfWork, pool: Pool, check_books: CheckBooks
) -> None:
    """Others have posted on accounts of the same shard that the draft does not touch."""
    await post_until_committed(unit_of_work, [open_wallet(7), open_wallet(8), top_up(7, 100, entry=7)])
    assert await watched.all(transfer(1, 10)._replace(shard=5)) == ["applied"]
    await post_until_committed(unit_of_work, [transfer(2, 10, 7, 8)._replace(shard=5)])
    assert await watched.all(transfer(3, 10)._replace(shard=5)) == ["applied"]
    assert watched.linked[-1] is False
    assert watched.stood[-1] is True
    assert await watched.all(transfer(4, 10)._replace(shard=5)) == ["applied"]
    assert await watched.all(transfer(5, 10)._replace(shard=5)) == ["applied"]
    assert watched.linked[-1] is True
    assert await balances(pool) == [60, 140, 100]
    await check_chains(pool, await check_books())


async def test_posters_that_change_the_same_accounts_under_each_other_lose_nothing(
    watched: Watched, unit_of_work: PostgresUnitOfWork, pool: Pool, check_books: CheckBooks
) -> None:
    other = Watched(unit_of_work)
    for turn in range(30):
        sent = [transfer(100 * turn + n, 1, n % 3, (n + 1) % 3) for n in range(6)]
        answers = await asyncio.gather(watched.all(*sent[:4]), other.all(*sent[2:]))
        assert {each for told in answers for each in told} <= {"applied", "duplicate"}
    assert True in watched.stood
    assert False in [*watched.stood, *other.stood]
    assert await balances(pool) == [100, 100, 100]
    entries = await check_books()
    assert entries == 3 + 30 * 6
    await check_chains(pool, entries)


async def test_accounts_that_are_not_known_yet_are_read_beside_the_batch_under_way(
    watched: Watched, unit_of_work: PostgresUnitOfWork, pool: Pool, check_books: CheckBooks
) -> None:
    await post_until_committed(unit_of_work, [open_wallet(7)])
    requests = [transfer(1, 10), transfer(2, 10, 0, 7), transfer(3, 5, 7, 1), transfer(4, 10, 0, 9)]
    tasks = [asyncio.create_task(watched.poster.post(requests[0]))]
    await asyncio.sleep(0)
    tasks += [asyncio.create_task(watched.poster.post(request)) for request in requests[1:]]
    answers = [said(answer) for answer in await asyncio.gather(*tasks)]
    assert answers == ["applied", "applied", "applied", "account_not_found"]
    assert watched.stood == [True, True]
    assert await balances(pool) == [80, 115, 100]
    await check_chains(pool, await check_books())


@pytest.mark.parametrize("changed", ["emptied", "frozen"])
async def test_a_repetition_that_would_be_refused_by_now_gets_the_first_answer(
    watched: Watched, unit_of_work: PostgresUnitOfWork, changed: str, check_books: CheckBooks
) -> None:
    """What is refused in a draft may have been posted long ago; only the journal knows."""
    assert await watched.all(transfer(1, 60), transfer(2, 40)) == ["applied", "applied"]
    assert await watched.all(transfer(3, 10, 1, 2)) == ["applied"]
    if changed == "frozen":
        await post_until_committed(
            unit_of_work,
            [ChangeAccountStatus(wallet(0).id, AccountStatus.FROZEN, "test", "a test"), top_up(0, 1, entry=9)],
        )
        assert await watched.all(transfer(4, 10, 1, 0)) == ["applied"]
    again = [transfer(1, 60), transfer(2, 41), transfer(5, 500, 1, 2)]
    assert await watched.all(*again) == ["duplicate", "entry_id_reused_with_other_content", "insufficient_funds"]
    assert await check_books() == (8 if changed == "frozen" else 6)


async def test_a_bug_in_deciding_ahead_reaches_no_other_caller(
    watched: Watched, pool: Pool, check_books: CheckBooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide = Draft.add

    def broken(draft: Draft, commands: Sequence[Command]) -> None:
        if any(isinstance(command, PostEntry) and command.entry_id == transfer(2, 1).entry_id for command in commands):
            raise KeyError("a bug")
        decide(draft, commands)

    monkeypatch.setattr(Draft, "add", broken)
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*(watched.poster.post(transfer(number, number)) for number in range(1, 5)))
    assert [answer.outcome.command for answer in answers] == [transfer(number, number) for number in range(1, 5)]
    assert {said(answer) for answer in answers} == {"applied"}
    assert await balances(pool) == [90, 110, 100]
    assert await check_books() == 7


async def test_a_draft_that_grew_old_before_its_transaction_is_decided_anew(
    watched: Watched, check_books: CheckBooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rialto_ledger.application.poster.MOST_AGE", timedelta(seconds=-1))
    assert await watched.all(transfer(1, 10)) == ["applied"]
    assert watched.stood == []
    assert await check_books() == 4


async def test_a_bug_between_the_batches_leaves_nobody_without_an_answer(
    watched: Watched, check_books: CheckBooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waited is told; what was under way is finished before the next one begins."""
    keep = Remembered.keep

    def broken(remembered: Remembered, posted: Posted) -> None:
        monkeypatch.setattr(Remembered, "keep", keep)
        raise KeyError("a bug")

    monkeypatch.setattr(Remembered, "keep", broken)
    async with asyncio.timeout(20):
        tasks = [asyncio.create_task(watched.poster.post(transfer(1, 10)))]
        await asyncio.sleep(0)
        tasks += [asyncio.create_task(watched.poster.post(transfer(number, 10))) for number in (2, 3)]
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        again = [said(await watched.poster.post(transfer(number, 10))) for number in (1, 2, 3)]
    assert not isinstance(answers[0], BaseException)
    assert {type(answer) for answer in answers[1:]} <= {KeyError, Answer}
    assert again[0] == "duplicate"
    assert await check_books() == 6
