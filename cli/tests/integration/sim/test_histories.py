"""Good histories: no promise is broken, and the same seed is the same history everywhere."""

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from rialto_cli.app import build
from rialto_cli.sim.card_invariants import OPEN
from rialto_cli.sim.instruments import Instruments
from rialto_cli.sim.runner import run_chunk, run_seeds

SEEDS = 110


def test_many_histories_under_faults_break_no_promise_and_meet_every_kind_of_trouble() -> None:
    run = run_seeds(range(SEEDS), 20, jobs=2)
    broken = {outcome.seed: outcome.violations for outcome in run.outcomes if outcome.violations}
    assert broken == {}
    assert sum(outcome.payments for outcome in run.outcomes) >= SEEDS * 20
    states = {state for outcome in run.outcomes for state in outcome.states}
    assert states >= {"settled", "declined", "voided", "expired", "failed"}
    faults = {fault for outcome in run.outcomes for fault in outcome.faults}
    assert faults >= {
        "database_away",
        "commit_refused",
        "commit_unknown_committed",
        "commit_unknown_lost",
        "redelivered",
        "held_back",
        "acknowledgement_lost",
        "answer_lost",
        "killed",
        "frozen",
        "partition withheld",
        "chain away",
        "reorganised",
        "pool forgotten",
        "chain_answer_lost",
        "acquirer away",
        "acquirer_busy",
        "acquirer_question_lost",
        "acquirer_question_late",
        "acquirer_answer_lost",
        "acquirer_lookup_lost",
        "acquirer_lookup_answer_lost",
        "notice of Succeeded",
        "notice of Declined",
        "notice of Pending",
        *(f"silent {service}" for service in ("gateway", "fraud", "compliance", "ledger", "chain_bridge")),
    }
    attempts = {what for outcome in run.outcomes for what, count in outcome.attempts.items() if count}
    assert attempts >= {
        *(
            f"{step} {state}"
            for step in ("authorise", "capture", "void", "refund")
            for state in ("succeeded", "failed")
        ),
        "unknown for a time",
    }
    assert not {what for what in attempts if what.split()[-1] in OPEN}, "an outcome is still open"
    refunds = {state for outcome in run.outcomes for state in outcome.refunds}
    assert refunds == {"succeeded", "failed"}
    points = {point for outcome in run.outcomes for point in outcome.crash_points}
    assert {f"crashed at {point}" for point in points} <= faults


def test_a_seed_gives_the_same_history_whatever_ran_before_it() -> None:
    alone, _ = run_chunk([7], payments=20, trace=True)
    among, _ = run_chunk([5, 6, 7], payments=20, trace=False)
    assert among[-1].hash == alone[0].hash
    assert len({outcome.hash for outcome in among}) == 3
    assert alone[0].timeline


def test_a_seed_gives_the_same_hash_whatever_the_hash_seed_of_the_interpreter() -> None:
    found = []
    for hash_seed in ("1", "4242"):
        answer = subprocess.run(
            [sys.executable, "-m", "rialto_cli", "sim", "--seeds", "4", "--from", "11", "--json", "--payments", "20"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        printed = json.loads(answer.stdout)
        assert printed["seeds"] == 4
        assert printed["payments"] == 80
        assert printed["violations"] == []
        assert printed["figures"]["payments_per_second_per_core"] > 0
        found.append(printed["hashes"])
    assert found[0] == found[1]
    assert set(found[0]) == {"11", "12", "13", "14"}


def test_a_seed_alone_can_be_told_instant_by_instant() -> None:
    answer = CliRunner().invoke(build(), ["sim", "--seed", "3", "--trace"])
    assert answer.exit_code == 0, answer.output
    assert "gateway publishes payment.created" in answer.output
    assert "chain_bridge publishes settlement.confirmed" in answer.output
    assert "harbour says Succeeded" in answer.output
    assert "hold in every history" in answer.output


@pytest.mark.parametrize("arguments", [["--trace"], ["--payments", "19"], ["--seeds", "0"]])
def test_what_cannot_be_meant_is_refused(arguments: list[str]) -> None:
    assert CliRunner().invoke(build(), ["sim", *arguments]).exit_code == 2


def test_the_instruments_read_the_packaged_list_of_invented_names() -> None:
    assert [source.list_id for source in Instruments.build().index.lists] == ["fixture"]
