"""The map of an installation: every shard has one ledger, and every account one or all."""

from typing import Any

import pytest
from pydantic import ValidationError

from rialto_ledger.domain import chart
from rialto_ledger.domain.shards import Shards, elsewhere, parse
from rialto_ledger.settings import LedgerSettings
from rialto_ledger.testing import merchant_id
from rialto_ledger.transfer_testing import EAST, MAP, WEST, wallet_in


def test_one_ledger_keeps_all_unless_it_is_told_otherwise() -> None:
    shards = parse("all", "ledger")
    assert shards == Shards.all_of("ledger")
    assert shards.are_all
    assert shards.kept == set(range(64))


def test_a_map_gives_each_shard_to_one_ledger() -> None:
    shards = parse("a=0-9, 20;b=10-19,21-62;c=63", "a")
    assert shards.kept == {*range(10), 20}
    assert not shards.are_all
    assert [shards.keepers[shard] for shard in (9, 10, 20, 21, 63)] == ["a", "b", "a", "b", "c"]
    assert (shards.reached_by(20), shards.reached_by(63)) == (20, 0)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not a ledger's name"),
        ("east", "is not a ledger's name"),
        ("East=0-63", "is not a ledger's name"),
        ("east=0-63;", "is not a ledger's name"),
        ("east=0-31;west=31-63", "shard 31 is both east's and west's"),
        ("east=0-30;west=32-63", "no ledger keeps shard 31"),
        ("east=0-64", "is no range within 0-63"),
        ("east=9-0", "is no range within 0-63"),
        ("east=", "is neither a shard nor a range"),
        ("east=0-63,x", "is neither a shard nor a range"),
        ("west=0-63", "the map has no ledger 'east'"),
    ],
)
def test_what_is_no_map_is_refused_and_said_why(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse(text, "east")


def settings(**more: Any) -> LedgerSettings:
    return LedgerSettings(database_url="postgresql://x", service_token_secret="x" * 32, **more)


def test_the_settings_have_one_ledger_by_default_and_refuse_several_without_kafka() -> None:
    assert settings().shard_map() == Shards.all_of("ledger")
    with pytest.raises(ValidationError, match="several ledgers meet on Kafka"):
        settings(name="east", shards=MAP)
    several = settings(name="east", shards=MAP, bus_url="kafka://127.0.0.1:9092")
    assert (several.shard_map(), several.instance_name) == (EAST, "east")
    with pytest.raises(ValidationError, match="the map has no ledger 'ledger'"):
        settings(shards=MAP, bus_url="kafka://127.0.0.1:9092")


def test_wallets_and_merchants_accounts_have_one_ledger_and_the_platforms_are_everywhere() -> None:
    here, there = wallet_in(EAST), wallet_in(WEST)
    payable = chart.merchant_payable(merchant_id(), "USD", "test")
    for spec in (here, there, payable):
        assert EAST.keeper_of(spec) == WEST.keeper_of(spec) == ("east" if EAST.keeps(spec.shard) else "west")
    acquirer = chart.test_acquirer("USD")
    assert (EAST.keeper_of(acquirer), WEST.keeper_of(acquirer)) == ("east", "west")
    assert elsewhere(EAST, {here.id: here, there.id: there, acquirer.id: acquirer}) == {there.id: "west"}


def test_of_an_account_that_is_not_open_the_id_says_where_a_wallet_of_it_would_be() -> None:
    here, there = wallet_in(EAST), wallet_in(WEST)
    assert elsewhere(EAST, {here.id: None, there.id: None}) == {there.id: "west"}
