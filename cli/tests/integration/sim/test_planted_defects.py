"""Proof that the simulation can fail: each of these defects, planted in one handler or adapter, is found soon."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner

from rialto_cli.app import build
from rialto_cli.sim.acquirer import AcquirerLine
from rialto_cli.sim.history import Outcome
from rialto_cli.sim.runner import run_chunk
from rialto_common import ids
from rialto_common.bus.consumer import Consumer
from rialto_common.bus.memory import MemoryBus, MemoryInbox, MemoryTransaction, _Begun
from rialto_common.events.envelope import Event
from rialto_gateway.attempts.attempt import Attempt, started
from rialto_gateway.attempts.runner import LEASE, AttemptRunner
from rialto_gateway.connectors.port import Answer, Connector, NotSent
from rialto_gateway.payments.chapters import captures
from rialto_ledger.domain.book import Book
from rialto_ledger.domain.commands import CaptureHold
from rialto_ledger.domain.hold import Hold
from rialto_ledger.entrypoints import consumer as ledger

SEEDS = 1_000


def first_broken() -> Outcome:
    """Return the first history that breaks a promise."""
    for seed in range(SEEDS):
        [outcome], _ = run_chunk([seed], payments=20, trace=False)
        if outcome.violations:
            return outcome
    pytest.fail(f"{SEEDS} histories did not find the defect")


def promises(outcome: Outcome) -> set[str]:
    return {text.split(":")[0] for text in outcome.violations}


def test_a_void_that_does_not_release_its_hold_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def release(self: Book, hold: Hold, released_minor: int) -> None:
        self.changed_holds[hold.id] = hold

    monkeypatch.setattr(Book, "release", release)
    assert "I2" in promises(first_broken())


def test_a_ledger_that_books_a_capture_by_its_request_and_not_by_its_id_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its inbox is gone and with it the first line of defence; the second is the entry's id, which it forgets."""
    read = ledger._READERS["rialto.capture.requested.v1"]
    told = iter(range(10**9))

    def forgetful(event: Event) -> Any:
        command = read(event)
        assert isinstance(command, CaptureHold)
        return replace(command, entry_id=ids.derive(event.id, "journal_entry", next(told)))

    monkeypatch.setitem(ledger._READERS, "rialto.capture.requested.v1", forgetful)
    forget_inbox_of(monkeypatch, "ledger")
    assert promises(first_broken()) & {"I4", "I7", "I8"}


def test_a_gateway_that_does_not_ask_its_inbox_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_inbox_of(monkeypatch, "gateway")
    assert promises(first_broken()) & {"I7", "I8"}


def test_a_consumer_that_acknowledges_before_its_commit_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = Consumer.handle

    async def step(self: Consumer[Any]) -> float:
        deliveries = await self._subscription.poll(max_events=self._max_events, wait_seconds=self._wait_seconds)
        await self._subscription.acknowledge(deliveries)
        if deliveries:
            await handle(self, [delivery.event for delivery in deliveries])
        return self._linger_seconds

    monkeypatch.setattr(Consumer, "step", step)
    assert "I8" in promises(first_broken())


def test_events_that_are_sent_before_their_commit_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dual write: what was told stands, though what it tells of was rolled back."""
    begin = _Begun.__aenter__
    buses: dict[MemoryTransaction, MemoryBus] = {}

    async def enter(self: _Begun) -> MemoryTransaction:
        transaction = await begin(self)
        buses[transaction] = self._work.bus
        return transaction

    def publish(self: MemoryTransaction, *events: Event) -> None:
        buses[self].append(events)

    monkeypatch.setattr(_Begun, "__aenter__", enter)
    monkeypatch.setattr(MemoryTransaction, "publish", publish)
    assert "I8" in promises(first_broken())


def test_an_acquirer_that_is_taken_to_have_nothing_because_it_did_not_answer_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What may have arrived counts as not sent: another acquirer is asked, or the same question is sent anew."""

    async def not_sent(self: AcquirerLine) -> Answer:
        return NotSent("timed_out")

    monkeypatch.setattr(AcquirerLine, "_nothing_heard", not_sent)
    assert "I4" in promises(first_broken())


def test_a_gateway_that_asks_before_it_is_on_record_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def begin(self: AttemptRunner, attempt: Attempt, connector: Connector) -> Attempt:
        return started(attempt, connector.name, self._runtime.now(), LEASE)

    monkeypatch.setattr(AttemptRunner, "_begin", begin)
    assert "I3" in promises(first_broken())


def test_a_void_that_was_lost_and_is_taken_for_done_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captures, "NOT_FOUND", "nothing is called so")
    assert "I4" in promises(first_broken())


def test_the_command_ends_with_1_and_says_how_to_see_a_broken_history_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Book, "release", lambda self, hold, released: self.changed_holds.update({hold.id: hold}))
    broken = first_broken().seed
    chosen = ["sim", "--seed", str(broken), "--payments", "20"]
    answer = CliRunner().invoke(build(), chosen)
    assert answer.exit_code == 1
    assert f"seed {broken} breaks a promise" in answer.output
    assert f"rialto sim --seed {broken} --payments 20 --trace" in answer.output
    printed = CliRunner().invoke(build(), [*chosen, "--json"])
    assert printed.exit_code == 1
    [violation] = json.loads(printed.stdout)["violations"]
    assert violation["seed"] == broken
    assert violation["what"][0].startswith("I2: ")


def forget_inbox_of(monkeypatch: pytest.MonkeyPatch, group: str) -> None:
    """Let a service handle whatever is delivered, as often as it is."""
    in_one_transaction = Consumer._in_one_transaction
    take = MemoryInbox.take

    async def without_inbox(self: Consumer[Any], events: Sequence[Event]) -> None:
        async def all_of_them(inbox: MemoryInbox, offered: Sequence[Event]) -> list[Event]:
            await take(inbox, offered)
            return list(offered)

        with monkeypatch.context() as patch:
            if self.group == group:
                patch.setattr(MemoryInbox, "take", all_of_them)
            await in_one_transaction(self, events)

    monkeypatch.setattr(Consumer, "_in_one_transaction", without_inbox)
