"""What the audit has written down once more is what the platform does."""

from eth_utils.crypto import keccak
from iso4217 import Currency

from rialto_cli.audit import books, chain, consumers
from rialto_common import money
from rialto_common.bus import postgres
from rialto_common.bus.topics import wanted_topics


def test_topics_and_selectors_are_hashes_of_signatures() -> None:
    assert chain.SETTLED == "0x" + keccak(text="Settled(bytes32,address,uint256,bytes32)").hex()
    assert chain.TRANSFER == "0x" + keccak(text="Transfer(address,address,uint256)").hex()
    assert chain.BALANCE_OF == "0x" + keccak(text="balanceOf(address)").hex()[:8]


def test_every_currency_has_the_decimals_that_the_platform_gives_it() -> None:
    codes = [currency.code for currency in Currency if currency.exponent is not None]
    platform = {code: money.currency_exponent(code) for code in (*codes, *money.TOKENS)}
    assert {code: consumers.EXPONENTS.get(code, 2) for code in platform} == platform


def test_the_log_is_kept_as_long_as_the_audit_believes() -> None:
    assert postgres.LOG_DAYS == books.LOG_DAYS


def test_the_audit_knows_every_topic() -> None:
    assert set(consumers.TOPICS) == {spec.name for spec in wanted_topics()}
