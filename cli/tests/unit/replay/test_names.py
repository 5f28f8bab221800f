"""The cast: seeded, in the promised shares, and nobody looks like a listed person by accident."""

from dataclasses import replace

from rialto_cli.acquirer_sim.tokens import TOKENS
from rialto_cli.replay.names import LISTED_SHARE, SHORT_SHARE, Cast, fixture_people
from rialto_cli.replay.sample.generate import PATH as SAMPLE
from rialto_cli.replay.sample.generate import generate, write
from rialto_cli.replay.scene import MERCHANTS, merchant_ordinal, top_up_minor
from rialto_cli.replay.source import Choice, read
from rialto_compliance.adapters.list_files import FIXTURE, read_lists
from rialto_compliance.domain.index import Index
from rialto_compliance.domain.policy import POLICY

PEOPLE = fixture_people()


def test_the_same_seed_gives_the_same_cast_and_another_seed_another() -> None:
    one, same, other = ([Cast(seed, PEOPLE).customer(str(n)) for n in range(200)] for seed in ("one", "one", "other"))
    assert one == same
    assert one != other


def test_the_shares_of_short_and_listed_customers_are_as_promised() -> None:
    count = 20_000
    cast = [Cast("seed", PEOPLE).customer(str(number)) for number in range(count)]
    assert abs(sum(customer.short for customer in cast) / count - SHORT_SHARE) < 0.003
    assert abs(sum(customer.listed for customer in cast) / count - LISTED_SHARE) < 0.002


def test_only_listed_customers_would_be_stopped_by_the_fixture_list() -> None:
    index = Index(read_lists([FIXTURE]), cutoff=POLICY.review_score)
    cast = {customer for customer in (Cast("seed", PEOPLE).customer(str(number)) for number in range(4000))}
    judged = {customer: POLICY.judge(index.screen(customer.name)) for customer in cast}
    assert {customer for customer, outcome in judged.items() if outcome != "clear"} == {
        customer for customer in cast if customer.listed
    }
    assert {"review", "block"} <= set(judged.values())


def test_terminals_are_spread_over_all_merchants() -> None:
    owners = [merchant_ordinal(str(terminal)) for terminal in range(2000)]
    assert set(owners) == set(range(MERCHANTS))
    assert owners == [merchant_ordinal(str(terminal)) for terminal in range(2000)]


def test_top_ups_cover_the_need_unless_short() -> None:
    assert top_up_minor(12_345, short=False) == 20_000
    assert top_up_minor(10_000, short=False) == 10_000
    assert top_up_minor(12_345, short=True) == 6_172
    assert top_up_minor(1, short=True) == 0


def test_the_bundled_sample_is_what_its_generator_makes(tmp_path: object) -> None:
    from pathlib import Path

    fresh = Path(str(tmp_path)) / "payments.csv"
    write(fresh, generate())
    assert fresh.read_bytes() == SAMPLE.read_bytes()


def test_the_bundled_sample_shows_every_outcome() -> None:
    selection = read(SAMPLE, Choice(), 2)
    cast = Cast(selection.fingerprint, PEOPLE)
    rows = [selection.row(index) for index in range(len(selection))]
    assert 300 <= len(rows) <= 500
    assert any(cast.customer(row.customer).short for row in rows)
    assert any(cast.customer(row.customer).listed for row in rows)
    assert 5 <= int((selection.labels == 1).sum()) <= 15
    stopped = sum(cast.customer(row.customer).short or cast.customer(row.customer).listed for row in rows)
    assert stopped + int((selection.labels == 1).sum()) < 0.05 * len(rows)


def test_the_share_of_customers_with_a_card_is_as_asked_and_leaves_everybody_else_as_they_were() -> None:
    plain = [Cast("seed", PEOPLE).customer(str(number)) for number in range(5000)]
    cast = [Cast("seed", PEOPLE, card_share=0.3).customer(str(number)) for number in range(5000)]
    assert not any(customer.by_card for customer in plain)
    assert abs(sum(customer.by_card for customer in cast) / 5000 - 0.3) < 0.03
    assert [replace(customer, by_card=False) for customer in cast] == plain


def test_every_token_is_one_of_the_acquirers_and_some_leave_the_outcome_unknown() -> None:
    tokens = {Cast("seed", PEOPLE).token(row) for row in range(3000)}
    assert tokens <= set(TOKENS)
    assert {"tok_approve", "tok_timeout_after", "tok_timeout_before", "tok_capture_timeout_after"} <= tokens
