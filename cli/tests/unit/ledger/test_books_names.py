"""Account names in beancount: legal, and readable back, so that no two accounts share one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iso4217 import Currency

from rialto_cli.ledger.books.names import ROOTS, account_name, component
from rialto_common.money import TOKENS

LEGAL_COMPONENT = re.compile("[A-Z0-9][A-Za-z0-9-]*")
LEGAL_COMMODITY = re.compile("[A-Z][A-Z0-9'._-]{0,22}[A-Z0-9]")

letters = st.text(st.sampled_from("aAbBxXuUlLnN09_-./:é "), max_size=6)


def read_back(name: str) -> str:
    """Return the part that has this name, by the rules of the page alone."""
    if name.startswith("X-n"):
        return unescaped(name[3:])
    first, rest = name[0], name[1:]
    if first.isdigit() or (rest[:1].isupper()):
        return unescaped(name)
    if rest.startswith("-u"):
        return first + unescaped(rest[2:])
    return first.lower() + unescaped(rest.removeprefix("-l"))


def unescaped(text: str) -> str:
    found = re.sub("--|-([0-9a-f]{2})", lambda match: "_" if match[0] == "--" else chr(int(match[1], 16)), text)
    return found.encode("latin-1").decode()


@given(letters | st.text(max_size=8))
def test_every_part_has_a_legal_name_that_reads_back(part: str) -> None:
    name = component(part)
    assert LEGAL_COMPONENT.fullmatch(name)
    assert read_back(name) == part


@given(*[st.tuples(st.sampled_from(sorted(ROOTS)), st.sampled_from(["test", "live"]), letters, letters)] * 2)
def test_two_accounts_never_share_a_name(one: tuple[str, str, str, str], other: tuple[str, str, str, str]) -> None:
    assert (account_name(*one) == account_name(*other)) == (one == other)


@pytest.mark.parametrize(
    ("code", "currency", "name"),
    [
        ("fees:income", "USD", "Fees:Income:USD"),
        ("in_transit:7", "USD", "In--transit:7:USD"),
        ("fx:USD/RUSD:position", "RUSD", "Fx:USD-2fRUSD:Position:RUSD"),
        ("chain:31337:RUSD:treasury", "RUSD", "Chain:31337:RUSD:Treasury:RUSD"),
        ("desk:uSD:Customer:U:u:_x:", "USD", "Desk:U-lSD:C-uustomer:U-u:U:X-n--x:X-n:USD"),
    ],
)
def test_names_can_be_read_by_people(code: str, currency: str, name: str) -> None:
    assert account_name("asset", "test", code, currency) == f"Assets:Test:{name}"


def test_every_currency_that_we_know_is_a_legal_commodity() -> None:
    known = {currency.code for currency in Currency} | set(TOKENS)
    assert {code for code in known if not LEGAL_COMMODITY.fullmatch(code)} == set()
