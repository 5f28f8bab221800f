"""The simulated acquirer's tokens are documented, and each does what it says."""

from pathlib import Path

from typer.testing import CliRunner

from rialto_cli.acquirer_sim.tokens import DECLINES, TOKENS, table, token
from rialto_cli.app import build

PAGE = Path(__file__).parents[3] / "docs" / "ACQUIRER_SIM.md"


def test_the_page_has_the_table_of_tokens() -> None:
    assert table() in PAGE.read_text()


def test_the_command_shows_the_tokens() -> None:
    shown = CliRunner().invoke(build(), ["acquirer-sim", "--tokens"])
    assert (shown.exit_code, shown.output.strip()) == (0, table())


def test_every_step_can_fail_in_every_way_before_and_after() -> None:
    caused = {
        (step, behaviour.fault, behaviour.when)
        for each in TOKENS.values()
        for step, behaviour in each.steps.items()
        if behaviour.fault not in (None, "slow", "unavailable")
    }
    assert caused == {
        (step, fault, when)
        for step in ("authorise", "increment", "capture", "void", "refund")
        for fault in ("timeout", "reset", "error")
        for when in ("before", "after")
    }


def test_each_decline_has_a_token_and_what_is_unknown_is_declined() -> None:
    assert {token(f"tok_decline_{code}").behaviour("authorise").code for code in DECLINES} == set(DECLINES)
    assert token("tok_of_somebody").behaviour("authorise").code == "invalid_card"


def test_a_token_may_do_so_at_one_acquirer_alone() -> None:
    assert token("tok_unavailable-at-sim") is token("tok_unavailable") is TOKENS["tok_unavailable"]
    assert token("tok_unavailable-at-sim", "quay") is TOKENS["tok_approve"]
    assert token("tok_unavailable", "quay") is TOKENS["tok_unavailable"]
