"""docs/ledger/FX.md: its numbers are what the code comes to."""

import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from rialto_common.money import currency_exponent
from rialto_ledger.domain import chart
from rialto_ledger.domain.account import Side
from rialto_ledger.domain.fx import Ask, conversion, convert, make_quote, rate_between
from rialto_ledger.domain.fx_errors import FxError
from rialto_ledger.domain.fx_positions import Position, Trade
from rialto_ledger.domain.journal import Posting
from rialto_ledger.fx_testing import TERMS, euro_rate, wallet_in
from rialto_ledger.testing import NOW, number_id

PAGE = (Path(__file__).parents[4] / "docs" / "ledger" / "FX.md").read_text()


def table(head: str) -> list[list[str]]:
    """Return the rows of the page's table with this head."""
    rows = PAGE.split(f"{head}\n", 1)[1].split("\n\n", 1)[0].splitlines()[1:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


PUBLISHED = {currency: euro_rate(currency, value) for currency, value in table("| one euro costs | |")}


def minor(text: str) -> tuple[int, str]:
    """Read `100.00 EUR`."""
    value, currency = text.split()
    return int(Decimal(value).scaleb(currency_exponent(currency))), currency


def test_the_examples_buy_what_the_page_says_and_leave_us_the_remainder_it_says() -> None:
    rows = table("| sold | bought | exactly |")
    assert len(rows) == 5
    for sold, bought, exactly in rows:
        (sell_minor, sell), (buy_minor, buy) = minor(sold), minor(bought)
        rate = rate_between(sell, buy, PUBLISHED)
        assert convert(sell_minor, rate, TERMS.spread_bps) == buy_minor
        exact = Fraction(sold.split()[0]) * rate.value * Fraction(995, 1000)
        assert exact == Fraction(exactly.split(":")[0])
        kept = exact - Fraction(bought.split()[0])
        if told := re.search(r"(keeps|gives) ([\d.]+)", exactly):
            assert kept == Fraction(told[2]) * (1 if told[1] == "keeps" else -1)
        else:
            assert kept == 0


def test_the_posting_rule_makes_the_pages_entry() -> None:
    ask = Ask(None, "test", "EUR", 10_000, "USD")
    quote = make_quote(number_id("fx_quote", 0), ask, rate_between("EUR", "USD", PUBLISHED), TERMS, NOW)
    wallets = {currency: wallet_in(currency) for currency in ("EUR", "USD")}
    command = conversion(quote, number_id("conversion", 0), wallets["EUR"], wallets["USD"].id, NOW)
    drawn = []
    for account, debited, credited in table("| account | debit | credit |"):
        amount, currency = (debited or credited).split()
        named = wallets[currency] if "wallet" in account else chart.fx_position("EUR", "USD", currency, "test")
        assert re.fullmatch(account.strip("`").replace("…", ".*"), named.code)
        drawn.append(Posting(named.id, Side.DEBIT if debited else Side.CREDIT, int(amount), currency))
    assert command.postings == tuple(drawn)


def test_the_positions_gain_is_the_pages() -> None:
    position = Position("EUR", "USD")
    for done, *expected in table("| conversion | base EUR | cost USD | realised USD |"):
        (sell_minor, sell), (buy_minor, buy) = (minor(side) for side in done.split(" → "))
        assert convert(sell_minor, rate_between(sell, buy, PUBLISHED), TERMS.spread_bps) == buy_minor
        position = position.after(Trade(sell, sell_minor, buy, buy_minor))
        assert [position.base_minor, position.cost_minor, position.realised_minor] == [int(cell) for cell in expected]
    closing = re.search(r"Unrealised at ([\d.]+): (-?[\d.]+)\.\s", PAGE)
    assert closing is not None
    unrealised = position.unrealised(rate_between("EUR", "USD", {"USD": euro_rate("USD", closing[1])}))
    assert unrealised == Fraction(closing[2])
    worth = re.search(r"exactly: (\d+) - (\d+) . ([\d.]+) = ([\d.]+)\.\s", PAGE)
    assert worth is not None
    assert (position.quote_minor, -position.base_minor) == (int(worth[1]), int(worth[2]))
    assert position.realised_minor + unrealised == Fraction(worth[4])


def test_the_page_lists_every_refusal() -> None:
    assert {kind.code for kind in FxError.__subclasses__()} == set(
        re.findall(r"`(fx_\w+)`", PAGE.split("## Refusals")[1])
    ) - {"fx_errors"}
