"""`rialto ledger verify`: what it prints, and how it exits."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from rialto_cli.app import build
from rialto_cli.ledger.verify.file import InputUnreadable

from .exports import sample, text

FILE = text(sample().records())


def run(path: Path, *options: str) -> Result:
    return CliRunner().invoke(build(), ["ledger", "verify", str(path), *options])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "export.jsonl"
    file.write_bytes(FILE)
    return file


def test_a_whole_export_exits_with_0_and_names_the_super_root_to_compare(path: Path) -> None:
    answer = run(path)
    assert answer.exit_code == 0, answer.output
    assert f"super-root {sample().blocks[-1].super_root.hex()}" in answer.output
    assert "2 entries in 2 shards are chained but not sealed yet" in answer.output


def test_a_finding_exits_with_1_and_is_named(path: Path) -> None:
    path.write_bytes(FILE.replace(b'"kind":"capture"', b'"kind":"refund."', 1))
    answer = run(path)
    assert answer.exit_code == 1
    assert f"hash: shard 3, position 1, entry {sample().entries[0].id}, line 4\n  expected  " in answer.output


def test_json_has_all_of_it(path: Path) -> None:
    path.write_bytes(FILE.replace(b'"kind":"capture"', b'"kind":"refund."', 1))
    answer = run(path, "--json")
    found = json.loads(answer.output)
    assert (answer.exit_code, found["holds"], found["findings_total"], found["entries"]) == (1, False, 1, 9)
    assert (found["findings"][0]["problem"], found["findings"][0]["line"]) == ("hash", 4)
    assert found["unsealed"][0] == {"shard": 3, "first_position": 5, "last_position": 5}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file"),
        (b"", "first line"),
        (b"\x00\xff\n", "first line"),
        (FILE.split(b"\n", 1)[1], "first line"),
        (FILE.replace(b'"version":1', b'"version":2', 1), "version 2"),
    ],
    ids=["missing", "empty", "binary", "headless", "newer"],
)
def test_what_is_no_export_exits_with_2_and_says_why(content: bytes | None, why: str, path: Path) -> None:
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    answer = run(path)
    assert isinstance(answer.exception, InputUnreadable)
    assert why in answer.exception.why
    assert answer.exception.exit_status == 2
