"""docs/RELIABILITY.md names tests: each must exist, and be one that is run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "RELIABILITY.md"
LINK = re.compile(r"\[(test_\w+)\]\(\.\./([\w./-]+\.py)\)")


def named() -> set[tuple[str, str]]:
    """Return (file, test) for every test that the page names."""
    return {(file, name) for name, file in LINK.findall(PAGE.read_text())}


def rows() -> list[list[str]]:
    """Return the cells of every row of a table of promises."""
    lines = [line.strip("|").split("|") for line in PAGE.read_text().splitlines() if "[test_" in line]
    return [[cell.strip() for cell in line] for line in lines]


def test_every_row_has_a_promise_a_fault_one_test_and_a_place_for_its_figure() -> None:
    assert len(rows()) > 60
    promise = ""
    for row in rows():
        assert len(row) == 4, row
        promise = row[0] or promise
        assert promise, row
        assert row[1], row
        assert LINK.fullmatch(row[2]), row


def test_no_test_is_named_twice() -> None:
    tests = [row[2] for row in rows()]
    assert sorted(set(tests)) == sorted(tests)


@pytest.fixture(scope="module")
def collected() -> set[tuple[str, str]]:
    """What pytest finds in the files that the page names, as it would run them."""
    files = sorted({file for file, _ in named()})
    assert [file for file in files if not (ROOT / file).is_file()] == []
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    ids = [line.partition("[")[0].split("::") for line in result.stdout.splitlines() if "::" in line]
    return {(parts[0], parts[-1]) for parts in ids}


def test_every_test_that_the_page_names_is_collected(collected: set[tuple[str, str]]) -> None:
    assert sorted(named() - collected) == []
