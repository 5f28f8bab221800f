"""Every reason to refuse: caused through the API, answered as README.md says, and leaving the books as they were."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rialto_common import ids
from rialto_common.problems import status_of
from rialto_common.service_tokens import Caller
from rialto_ledger.adapters.postgres import PostgresLedger
from rialto_ledger.application.posting import post
from rialto_ledger.domain import chart, errors, fx_errors, statement
from rialto_ledger.domain.commands import PostEntry
from rialto_ledger.domain.errors import LedgerError
from rialto_ledger.domain.journal import debit
from rialto_ledger.testing import NOW, Payment, merchant_id, number_id, wallet

from .api_world import MERCHANT, OPERATOR, World, top_up_body, wallet_body

PAST, FUTURE, LATER = "2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z", "2099-01-02T00:00:00Z"
LIVE = Caller("gateway", None, "live")
RICH, POOR, NOBODY = (ids.to_text("wal", wallet(number).id) for number in (0, 1, 9))
CASH, VAULT = (ids.to_text("acc", chart.account_id("test", code, "USD")) for code in ("test:cash", "test:vault"))
LARGEST = "9" * 38

Step = tuple[str, dict[str, Any]] | tuple[str, dict[str, Any], Caller]


def entry_id(number: int) -> str:
    return ids.to_text("je", number_id("entry", number))


def transfer(
    number: int = 0, amount: str = "100", source: str = RICH, target: str = POOR, **changes: Any
) -> dict[str, Any]:
    lines = ((source, "debit"), (target, "credit"))
    postings = [{"account_id": a, "side": side, "amount_minor": amount, "currency": "USD"} for a, side in lines]
    return {"id": entry_id(number), "kind": "transfer", "postings": postings, **changes}


def unbalanced() -> dict[str, Any]:
    body = transfer()
    body["postings"][1]["amount_minor"] = "99"
    return body


def in_euro() -> dict[str, Any]:
    body = transfer()
    return {**body, "postings": [{**line, "currency": "EUR"} for line in body["postings"]]}


HOLD = ids.to_text("hold", number_id("hold", 0))
ENTRIES, BATCH, HOLDS, ACCOUNTS = "journal_entries", "journal_entries/batch", "holds", "accounts"
PLACE: dict[str, Any] = {
    "id": HOLD,
    "account_id": RICH,
    "amount_minor": "400",
    "currency": "USD",
    "expires_at": FUTURE,
}
CAPTURE: dict[str, Any] = {"id": entry_id(1), "to_account_id": POOR, "amount_minor": "400"}
PAYABLE = {"code": Payment().payable.code, "type": "liability", "currency": "USD"}
WHY = {"reason": "a test"}

# The last step is refused with the error's code; those before it lead there.
CAUSES: dict[type[LedgerError], list[Step]] = {
    errors.AccountNotFound: [(ENTRIES, transfer(target=NOBODY))],
    errors.AccountIdReused: [(ACCOUNTS, wallet_body(0, currency="EUR"))],
    errors.AccountCodeCharted: [(ACCOUNTS, {"code": "fees:income", "type": "liability", "currency": "USD"})],
    errors.AccountUnlimited: [
        (ACCOUNTS, {**PAYABLE, "merchant_id": ids.to_text("mer", merchant_id())}),
        (HOLDS, {**PLACE, "account_id": ids.to_text("acc", Payment().payable.id)}, MERCHANT),
    ],
    errors.AccountFrozen: [(f"{ACCOUNTS}/{RICH}/freeze", WHY), (ENTRIES, transfer())],
    errors.AccountClosed: [(f"{ACCOUNTS}/{POOR}/close", WHY), (ENTRIES, transfer())],
    errors.CurrencyMismatch: [(ENTRIES, in_euro())],
    errors.AccountNotEmpty: [(f"{ACCOUNTS}/{RICH}/close", WHY)],
    errors.InsufficientFunds: [(ENTRIES, transfer(amount="1501"))],
    errors.BalanceAboveMaximum: [(ENTRIES, transfer(amount="1001", source=VAULT))],
    errors.BalanceOverflow: [
        (ENTRIES, transfer(1, LARGEST, CASH, POOR)),
        (ENTRIES, transfer(2, "1", CASH, RICH)),
    ],
    errors.ModeNotAllowed: [(ACCOUNTS, wallet_body(5, mode="live"))],
    errors.TopUpInLiveMode: [(ENTRIES, top_up_body(5), LIVE)],
    errors.OperatorOnly: [(ENTRIES, transfer(), MERCHANT)],
    errors.EntryUnbalanced: [(ENTRIES, unbalanced())],
    errors.EffectiveInFuture: [(ENTRIES, transfer(effective_at=FUTURE))],
    errors.EntryIdReused: [(ENTRIES, transfer()), (ENTRIES, transfer(amount="101"))],
    errors.EntryNotFound: [(f"{ENTRIES}/{entry_id(0)}/reversal", {})],
    errors.EntryNotReversible: [
        (ENTRIES, transfer()),
        (f"{ENTRIES}/{entry_id(0)}/reversal", {}),
        (f"{ENTRIES}/{ids.to_text('je', ids.derive(number_id('entry', 0), 'reversal'))}/reversal", {}),
    ],
    errors.LinkedRefused: [(BATCH, {"linked": True, "entries": [transfer(0), transfer(1, "1500")]})],
    errors.LinkedPartlyPosted: [
        (ENTRIES, transfer(0)),
        (BATCH, {"linked": True, "entries": [transfer(0), transfer(1)]}),
    ],
    errors.HoldNotFound: [(f"{HOLDS}/{HOLD}/capture", CAPTURE)],
    errors.HoldIdReused: [(HOLDS, PLACE), (HOLDS, {**PLACE, "amount_minor": "401"})],
    errors.HoldRefused: [(HOLDS, {**PLACE, "account_id": POOR})] * 2,
    errors.HoldAlreadyVoided: [(HOLDS, PLACE), (f"{HOLDS}/{HOLD}/void", {}), (f"{HOLDS}/{HOLD}/capture", CAPTURE)],
    errors.HoldAlreadyCaptured: [
        (HOLDS, PLACE),
        (f"{HOLDS}/{HOLD}/capture", CAPTURE),
        (f"{HOLDS}/{HOLD}/extend", {"expires_at": LATER}),
    ],
    errors.HoldHasExpired: [(HOLDS, {**PLACE, "expires_at": PAST})],
    errors.HoldDeadlinePassed: [(HOLDS, PLACE), (f"{HOLDS}/{HOLD}/extend", {"expires_at": PAST})],
    errors.CaptureAboveHold: [(HOLDS, PLACE), (f"{HOLDS}/{HOLD}/capture", {**CAPTURE, "amount_minor": "401"})],
}
ELSEWHERE: dict[str, set[type[LedgerError]]] = {
    "test_sealing.py": {errors.EntryNotSealedYet, errors.BlockNotFound},
    "test_history_api.py": {statement.PeriodInvalid, statement.StatementChanged},
    "test_transfers_http.py": {errors.AccountElsewhere, errors.TransferIdReused, errors.TransferNotFound},
    "test_fx_http.py": set(fx_errors.FxError.__subclasses__()),
    "test_events.py": {errors.InsufficientMerchantBalance},
}
"""Caused through the API or by an event by other tests of this folder, which name their codes."""
IN_ARCHIVES = {errors.EntryIdTooOld, statement.HistoryArchived}
"""Caused where months are archived, by the tests of `rialto ledger archive`."""
REPEATED = "insufficient_funds"
"""What HoldRefused answers: it has no code of its own, and tells the first refusal's again."""


def refusals(parent: type[LedgerError] = LedgerError) -> Iterator[type[LedgerError]]:
    """Yield every class that a command is refused with: the leaves of the tree."""
    children = parent.__subclasses__()
    for child in children:
        yield from refusals(child)
    if not children:
        yield parent


def documented() -> dict[str, int]:
    """Return the table of README.md: each code with its HTTP status."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    section = readme.partition("\n## Refusals\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\d{3}) \| \S.*\|$", section, re.MULTILINE)
    assert len(rows) == len(dict(rows))
    return {code: int(status) for code, status in rows}


@pytest.fixture
async def books(world: World) -> World:
    """Wallets with 15.00 and with nothing, and two of the operator's accounts, one with a limit."""
    async with world.client() as client:
        for number in range(2):
            await client.post("/v1/accounts", json=wallet_body(number))
        for code, more in (("test:cash", {}), ("test:vault", {"maximum_balance_minor": "1000"})):
            body = {"code": code, "type": "asset", "currency": "USD", **more}
            assert (await client.post("/v1/accounts", json=body)).status_code == 201
        assert (await client.post("/v1/journal_entries", json=top_up_body())).status_code == 201
    return world


async def written(world: World) -> list[Any]:
    """Return all that could have been written: accounts with their totals, entries, what holds still hold."""
    queries = (
        "SELECT id, status, debits_minor, credits_minor, held_minor FROM ledger.accounts ORDER BY id",
        "SELECT id FROM ledger.journal_entries ORDER BY id",
        "SELECT id, status, captured_minor, released_minor, expires_at FROM ledger.holds WHERE status <> 'refused'",
        "SELECT position FROM bus.log ORDER BY position",
    )
    return [await world.service.pool.fetch(query) for query in queries]


@pytest.mark.parametrize("refusal", CAUSES, ids=lambda refusal: refusal.__name__)
async def test_a_refusal_is_answered_with_its_code_and_status_and_changes_nothing(
    books: World, refusal: type[LedgerError]
) -> None:
    *before, last = CAUSES[refusal]
    for path, body, *_ in before:
        async with books.client() as client:
            answer = await client.post(f"/v1/{path}", json=body)
        assert answer.is_success or refusal is errors.HoldRefused, answer.text
    path, body = last[:2]
    books_before = await written(books)
    async with books.client(last[2] if len(last) == 3 else OPERATOR) as client:
        answer = await client.post(f"/v1/{path}", json=body)
    code = REPEATED if refusal is errors.HoldRefused else refusal.code
    assert (answer.json()["code"], answer.status_code) == (code, documented()[code])
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]
    assert await written(books) == books_before


async def test_the_books_refuse_what_the_api_keeps_out(books: World) -> None:
    """`posting_invalid`: amounts and numbers of postings are read strictly before they get this far."""
    wallet_id = wallet().id
    lone = (debit(wallet_id, 5, "USD"),)
    command = PostEntry(number_id("entry", 0), "lone", wallet_id, "test", None, None, lone, (), NOW)
    async with books.service.unit_of_work.begin() as transaction:
        [outcome] = (await post(PostgresLedger(transaction.connection), [command], NOW)).decision.outcomes
    assert isinstance(outcome.error, errors.PostingInvalid)


def test_every_refusal_is_caused_here() -> None:
    assert set(refusals()) == {*CAUSES, errors.PostingInvalid, *IN_ARCHIVES}.union(*ELSEWHERE.values())
    for file, caused in ELSEWHERE.items():
        text = Path(__file__).with_name(file).read_text()
        assert not {refusal.code for refusal in caused if f'"{refusal.code}"' not in text}


def test_the_readme_lists_every_code_with_its_status() -> None:
    assert documented() == {r.code: status_of_class(r) for r in refusals() if r is not errors.HoldRefused}


def test_the_tree_in_the_modules_docstring_is_the_tree() -> None:
    drawn = dict(re.findall(r"[├└]── (\w+) +([a-z_]+|\(the first refusal's code\))  ", errors.__doc__ or ""))
    own = {r for r in refusals() if r.__module__ == errors.__name__ and r is not errors.HoldRefused}
    assert drawn == {r.__name__: r.code for r in own} | {"HoldRefused": "(the first refusal's code)"}


def status_of_class(refusal: type[LedgerError]) -> int:
    return status_of(refusal.__new__(refusal))
