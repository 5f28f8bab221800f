"""What a data directory remembers of its run."""

import os
from pathlib import Path

import pytest

from rialto_cli.embedded import secrets
from rialto_cli.embedded.processes import Identity
from rialto_cli.embedded.state import STATE_FILE, RunLock, State, is_running
from rialto_cli.errors import OperatorError


def test_a_saved_state_reads_back(tmp_path: Path) -> None:
    me = Identity.of(os.getpid())
    assert me is not None
    state = State(supervisor=me, ports={"gateway": 8080}, processes={"ledger": me})
    state.save(tmp_path)
    assert State.load(tmp_path) == state


@pytest.mark.parametrize("contents", ["", "{", "[]", '{"supervisor": {"pid": 1}}', "null"])
def test_an_unreadable_state_counts_as_none(tmp_path: Path, contents: str) -> None:
    (tmp_path / STATE_FILE).write_text(contents)
    assert State.load(tmp_path) == State()


def test_a_reused_pid_is_not_taken_for_our_process() -> None:
    me = Identity.of(os.getpid())
    assert me is not None
    assert me.process() is not None
    assert Identity(me.pid, me.started_at - 60).process() is None


def test_the_lock_is_held_once_and_released(tmp_path: Path) -> None:
    assert not is_running(tmp_path)
    with RunLock(tmp_path):
        assert is_running(tmp_path)
        with pytest.raises(OperatorError, match="already running"), RunLock(tmp_path):
            pass
        assert is_running(tmp_path)
    assert not is_running(tmp_path)


def test_secrets_are_made_once_and_only_their_owner_may_read_them(tmp_path: Path) -> None:
    made = secrets.load_or_create(tmp_path)
    assert secrets.load_or_create(tmp_path) == made
    assert (tmp_path / secrets.FILE_NAME).stat().st_mode & 0o077 == 0
    assert len(made.chain_mnemonic.split()) == 12


def test_a_database_without_its_secrets_is_refused(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    with pytest.raises(OperatorError, match="no secrets"):
        secrets.load_or_create(tmp_path)
