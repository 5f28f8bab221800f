"""The commands' own refusals, and how demos are numbered."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from rialto_cli.errors import OperatorError
from rialto_cli.replay import commands
from rialto_cli.replay.demo import Runs
from rialto_cli.replay.sender import Pace, payment_key, run_token


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    commands.register(app)
    return app


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text("TX_TIME_SECONDS,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT\n1,1,1,1.00\n", encoding="utf-8")
    return path


def test_a_replay_without_a_platform_says_how_to_start_one(app: typer.Typer, file: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["replay", str(file), "--data-dir", str(tmp_path / "none")])
    assert isinstance(result.exception, OperatorError)
    assert "rialto up" in result.exception.next_step


@pytest.mark.parametrize(
    "arguments", [["--map", "amount"], ["--rate", "5", "--speedup", "2"], ["--day", "-1"], ["--limit", "0"]]
)
def test_options_that_make_no_sense_are_usage_errors(app: typer.Typer, file: Path, arguments: list[str]) -> None:
    assert CliRunner().invoke(app, ["replay", str(file), *arguments]).exit_code == 2


def test_an_epoch_that_is_no_date_is_refused_in_words(app: typer.Typer, file: Path) -> None:
    result = CliRunner().invoke(app, ["replay", str(file), "--epoch", "long ago"])
    assert isinstance(result.exception, OperatorError)
    assert "ISO 8601" in result.exception.why


def test_an_interrupted_demo_goes_on_and_a_finished_one_is_followed_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "replay" / "runs.json"
    assert Runs(path).begin() == 1
    assert Runs(path).begin() == 1
    Runs(path).finish(1)
    assert Runs(path).begin() == 2


def test_keys_differ_by_file_run_and_row_and_by_nothing_else() -> None:
    keys = {payment_key(run_token(digest, run), row) for digest in ("a", "b") for run in ("1", "2") for row in (0, 1)}
    assert len(keys) == 8
    assert payment_key(run_token("a", "1"), 0) in keys


def test_a_pace_spaces_rows_by_rate_or_by_their_own_times() -> None:
    assert Pace(rate=50).due_seconds(100, 0, 0) == 2.0
    assert Pace(speedup=10).due_seconds(3, 65_000_000, 5_000_000) == 6.0
    assert Pace().due_seconds(100, 65_000_000, 0) == 0.0
