"""docs/ledger/POSTING_RULES.md is true: its examples are run, and no rule and no account is without one."""

import inspect
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from uuid import UUID

import pytest

from rialto_common import ids
from rialto_ledger.domain import chart, posting_rules
from rialto_ledger.domain.account import Account, AccountDelta, AccountSpec, Side
from rialto_ledger.domain.balance import available_balance, ledger_balance
from rialto_ledger.domain.fees import FeeSchedule, returned_fee
from rialto_ledger.domain.journal import JournalEntry, Posting
from rialto_ledger.domain.posting_rules import AcquirerAccounts, Postings, SettlementAccounts
from rialto_ledger.testing import NOW, number_id

PAGE = (Path(__file__).parents[4] / "docs/ledger/POSTING_RULES.md").read_text()
RULES: dict[str, Callable[..., Postings]] = {
    name: rule
    for name, rule in inspect.getmembers(posting_rules, inspect.isfunction)
    if rule.__module__ == posting_rules.__name__ and not name.startswith("_")
}
HOLD = "hold"

AccountName = tuple[str, str]
"""A code as the page writes it, with names for ids, and a currency."""


@dataclass(frozen=True, slots=True)
class Line:
    account: AccountName
    side: Side
    amount_minor: int


@dataclass(slots=True)
class Step:
    """One numbered call: a table of inputs, then lines with a debit and a credit column."""

    rule: str
    posted: bool
    inputs: dict[str, str] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)


@dataclass(slots=True)
class Story:
    """A fenced block: steps, then the ledger and available balance of every account in it."""

    title: str
    steps: list[Step] = field(default_factory=list)
    balances: dict[AccountName, tuple[int, int]] = field(default_factory=dict)


def stories() -> list[Story]:
    found = []
    for section in PAGE.split("\n## ")[1:]:
        title = section.splitlines()[0]
        found += [read_story(title, block) for block in re.findall(r"^```ledger\n(.*?)^```", section, re.M | re.S)]
    return found


def read_story(title: str, block: str) -> Story:
    story = Story(title)
    in_balances = False
    for row in filter(None, block.splitlines()):
        in_balances = in_balances or row.startswith("balances")
        if row.startswith("balances") or row.split() == ["debit", "|", "credit"]:
            continue
        if in_balances:
            account, ledger, available = read_row(row)
            story.balances[account] = (int(ledger), int(available))
        elif step := re.fullmatch(r"(\d+)\. (\w+)(?:, (.+))?", row):
            assert int(step[1]) == len(story.steps) + 1, f"{title}: {row}: numbered out of turn"
            story.steps.append(Step(step[2], posted=step[3] != "not posted"))
        elif "|" in row:
            account, debited, credited = read_row(row)
            side = Side.DEBIT if debited else Side.CREDIT
            story.steps[-1].lines.append(Line(account, side, int(debited or credited)))
        else:
            name, value = row.split(maxsplit=1)
            story.steps[-1].inputs[name] = value
    return story


def read_row(row: str) -> tuple[AccountName, str, str]:
    """Return the account of `code  1000 USD | 1000 USD` and the two amounts; either may be missing."""
    left, right = row.split("|")
    code, *debited = left.split()
    credited = right.split()
    currency = (debited or credited)[1]
    return (code, currency), debited[0] if debited else "", credited[0] if credited else ""


def chart_functions() -> dict[str, Callable[..., AccountSpec]]:
    return {
        name: opens
        for name, opens in vars(chart).items()
        if not name.startswith("_") and callable(opens) and not inspect.isclass(opens)
        if inspect.signature(opens).return_annotation is AccountSpec
    }


def template_of(opens: Callable[..., AccountSpec]) -> AccountSpec:
    """Return an account of the chart whose code has its parameters' names in braces in place of their values."""
    owner = number_id("owner", 0)
    arguments: dict[str, object] = {name: f"{{{name}}}" for name in inspect.signature(opens).parameters}
    arguments |= {name: owner for name in OWNERS if name in arguments}
    spec = opens(**arguments)
    for name, prefix in OWNERS.items():
        spec = replace(spec, code=spec.code.replace(ids.to_text(prefix, owner), f"{{{name}}}"))
    return spec


OWNERS = {"wallet_id": "wal", "merchant_id": "mer"}
CHART = {re.sub(r"{(\w+)}", r"(?P<\1>[^:/]+)", template_of(f).code): f for f in chart_functions().values()}
"""The chart's functions by a pattern of the codes that they make."""


def account_named(text: str) -> tuple[AccountName, AccountSpec]:
    """Return the account that an input names: `merchant:bakery:payable` (in USD), `fx:USD/RUSD:position in RUSD`."""
    code, _, currency = text.partition(" in ")
    for pattern, opens in CHART.items():
        if match := re.fullmatch(pattern, code):
            defaults = {"mode": "test", "currency": currency or "USD", "side_currency": currency, "merchant_id": None}
            values = {
                name: number_id(value, 0) if name in OWNERS else value for name, value in match.groupdict().items()
            }
            given = defaults | values
            spec = opens(**{name: given[name] for name in inspect.signature(opens).parameters})
            return (code, spec.currency), spec
    raise AssertionError(f"the chart has no {code}")


class Telling:
    """Runs a story on accounts of its own."""

    def __init__(self) -> None:
        self.accounts: dict[UUID, Account] = {}
        self.names: dict[UUID, AccountName] = {}
        self.postings: list[Postings] = []

    def run(self, step: Step) -> list[Line]:
        inputs = Inputs(step.inputs, self)
        if step.rule == HOLD:
            self._change(inputs.account("wallet").id, AccountDelta(held_minor=inputs.amount("amount_minor")))
            postings: Postings = ()
        else:
            rule = RULES[step.rule]
            postings = rule(**inputs.arguments(rule))
        if "releases" in step.inputs:
            self._change(inputs.account("wallet_id").id, AccountDelta(held_minor=-inputs.amount("releases")))
        assert inputs.used == set(step.inputs), f"{step.rule} does not take {set(step.inputs) - inputs.used}"
        self.postings.append(postings)
        if step.posted and step.rule != HOLD:
            self._post(entry_of(postings))
        return [Line(self.names[p.account_id], p.side, p.amount_minor) for p in postings]

    def account(self, text: str) -> AccountSpec:
        name, spec = account_named(text)
        self.names[spec.id] = name
        return self.accounts.setdefault(spec.id, Account(spec)).spec

    def balances(self) -> dict[AccountName, tuple[int, int]]:
        return {self.names[a.id]: (ledger_balance(a), available_balance(a)) for a in self.accounts.values()}

    def _post(self, entry: JournalEntry) -> None:
        for posting in entry.postings:
            self._change(posting.account_id, delta_of(posting))

    def _change(self, account_id: UUID, delta: AccountDelta) -> None:
        self.accounts[account_id] = self.accounts[account_id].after(delta)


class Inputs:
    """A step's table of inputs, read as its rule's parameters ask."""

    def __init__(self, inputs: dict[str, str], telling: Telling) -> None:
        self._inputs = inputs
        self._telling = telling
        self.used: set[str] = set()

    def arguments(self, rule: Callable[..., Postings]) -> dict[str, object]:
        return {name: self._argument(name, p.annotation) for name, p in inspect.signature(rule).parameters.items()}

    def account(self, name: str) -> AccountSpec:
        return self._telling.account(self._text(name))

    def amount(self, name: str) -> int:
        """Return `59`, or check and return `59 = 30 + 290 bps of 1000` and `23 = 59 for 400 of 1000 after 0`."""
        text = self._text(name)
        amount, _, origin = text.partition(" = ")
        if fee := re.fullmatch(r"(\d+) \+ (\d+) bps of (\d+)", origin):
            fixed, bps, of = map(int, fee.groups())
            assert FeeSchedule(fixed, bps).fee(of) == int(amount), text
        elif part := re.fullmatch(r"(\d+) for (\d+) of (\d+) after (\d+)", origin):
            fee_minor, refund, of, before = map(int, part.groups())
            assert returned_fee(fee_minor, of, before, refund) == int(amount), text
        else:
            assert not origin, text
        return int(amount)

    def _argument(self, name: str, kind: object) -> object:
        if kind is SettlementAccounts:
            return SettlementAccounts(*map(self.account, ("payable", "position", "token_position", "treasury")))
        if kind is AcquirerAccounts:
            return AcquirerAccounts(*map(self.account, ("receivable", "costs", "cash")))
        if kind is AccountSpec:
            return self.account(name)
        if kind is UUID:
            return self.account(name).id
        if kind is int:
            return self.amount(name)
        number = re.fullmatch(r"step (\d+)", self._text(name))
        assert number is not None, f"{name} is the postings of an earlier step"
        return self._telling.postings[int(number[1]) - 1]

    def _text(self, name: str) -> str:
        self.used.add(name)
        return self._inputs[name]


def delta_of(posting: Posting) -> AccountDelta:
    if posting.side is Side.DEBIT:
        return AccountDelta(debits_minor=posting.amount_minor)
    return AccountDelta(credits_minor=posting.amount_minor)


def entry_of(postings: Postings) -> JournalEntry:
    return JournalEntry(
        id=number_id("entry", 0),
        kind="example",
        mode="test",
        shard=0,
        merchant_id=None,
        payment_id=None,
        effective_at=NOW,
        recorded_at=NOW,
        postings=postings,
    )


STORIES = stories()
each_story = pytest.mark.parametrize("story", STORIES, ids=lambda story: story.title)


@each_story
def test_each_step_of_a_story_has_the_lines_that_its_rule_returns(story: Story) -> None:
    telling = Telling()
    for number, step in enumerate(story.steps, start=1):
        assert telling.run(step) == step.lines, f"step {number}, {step.rule}"


@each_story
def test_a_story_ends_with_the_balances_that_the_page_says(story: Story) -> None:
    telling = told(story)
    assert telling.balances() == story.balances


@each_story
def test_a_story_ends_within_every_limit_and_with_a_sum_of_zero(story: Story) -> None:
    sums: dict[str, int] = defaultdict(int)
    for account in told(story).accounts.values():
        sums[account.spec.currency] += account.debits_minor - account.credits_minor
        if account.spec.minimum_available_minor is not None:
            assert available_balance(account) >= account.spec.minimum_available_minor
    assert set(sums.values()) == {0}


def told(story: Story) -> Telling:
    telling = Telling()
    for step in story.steps:
        telling.run(step)
    return telling


def test_every_rule_has_a_worked_example() -> None:
    shown = {step.rule for story in STORIES for step in story.steps if step.posted}
    assert shown - {HOLD} == set(RULES)
    assert HOLD in shown


def test_every_rule_is_named_in_the_text_above_its_example() -> None:
    prose = re.sub(r"^```.*?^```", "", PAGE, flags=re.M | re.S)
    assert {rule for rule in RULES if f"`{rule}`" not in prose} == set()


def test_the_page_lists_every_account_of_the_chart_with_its_type_and_limit() -> None:
    expected = set()
    for name, opens in chart_functions().items():
        spec = template_of(opens)
        minimum = spec.minimum_available_minor
        expected.add((spec.code, name, spec.type.value, "none" if minimum is None else f"available ≥ {minimum}"))
    rows = re.findall(r"^\| `([^`]+)` \| `(\w+)` \| (\w+) \| ([^|]+) \|", PAGE, re.M)
    assert Counter(rows) == Counter(expected)


def test_the_page_rounds_as_the_fee_schedule_does() -> None:
    rows = re.findall(r"^\| (\d+) \+ (\d+) bps \| (\d+) \| ([\d.]+) \| (\d+) \|", PAGE, re.M)
    assert len(rows) >= 5
    for fixed, bps, amount, exact, fee in rows:
        assert Fraction(exact) == int(fixed) + Fraction(int(amount) * int(bps), 10_000)
        assert FeeSchedule(int(fixed), int(bps)).fee(int(amount)) == int(fee)
