"""anvil's state file: only whole versions are kept and used."""

from pathlib import Path

import pytest

from rialto_cli.embedded.chain_state import FIRST_BYTES, LAST_BYTES, Keeper, good_copy, is_complete

WHOLE = FIRST_BYTES + b'{"number":7},"accounts":{},' + LAST_BYTES
NEWER = FIRST_BYTES + b'{"number":8},"accounts":{},' + LAST_BYTES


@pytest.mark.parametrize("contents", [b"", b"{", WHOLE[:-1], WHOLE[5:], WHOLE + b"\n"])
def test_a_cut_or_foreign_file_is_not_complete(tmp_path: Path, contents: bytes) -> None:
    file = tmp_path / "state.json"
    file.write_bytes(contents)
    assert not is_complete(file)


def test_an_absent_file_is_not_complete(tmp_path: Path) -> None:
    assert not is_complete(tmp_path / "state.json")


def test_a_whole_version_is_copied_once(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    file.write_bytes(WHOLE)
    keeper = Keeper(file)
    assert keeper.copy()
    assert good_copy(file).read_bytes() == WHOLE
    assert not keeper.copy()
    file.write_bytes(NEWER + b"")
    assert keeper.copy()
    assert good_copy(file).read_bytes() == NEWER


def test_a_cut_version_never_replaces_the_good_copy(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    file.write_bytes(WHOLE)
    keeper = Keeper(file)
    keeper.copy()
    file.write_bytes(NEWER[:-9])
    assert not keeper.copy()
    assert good_copy(file).read_bytes() == WHOLE


def test_a_cut_file_is_repaired_from_the_good_copy(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    good_copy(file).write_bytes(WHOLE)
    file.write_bytes(b"")
    Keeper(file).repair()
    assert file.read_bytes() == WHOLE


def test_a_cut_file_without_a_copy_is_removed(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    file.write_bytes(WHOLE[:20])
    Keeper(file).repair()
    assert not file.exists()


def test_a_whole_file_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    file.write_bytes(NEWER)
    good_copy(file).write_bytes(WHOLE)
    Keeper(file).repair()
    assert file.read_bytes() == NEWER
