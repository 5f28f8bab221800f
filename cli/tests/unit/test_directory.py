"""A data directory made ready, and what is said when it cannot be."""

import errno
import os
import socket
from pathlib import Path

import pytest

from rialto_cli.embedded import directory
from rialto_cli.embedded.processes import free_ports
from rialto_cli.embedded.services import PROGRAMS
from rialto_cli.errors import OperatorError


def test_a_nearly_full_disk_is_refused_before_anything_is_written_to_it(tmp_path: Path) -> None:
    with pytest.raises(OperatorError) as refused:
        directory.prepare(tmp_path / "data", free=lambda path: directory.NEEDED_BYTES - 1)
    assert "is full" in refused.value.what
    assert "free some space" in refused.value.next_step


def test_just_enough_room_is_enough(tmp_path: Path) -> None:
    directory.prepare(tmp_path / "data", free=lambda path: directory.NEEDED_BYTES)
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"logs", "anvil"}


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "is full"),
        (errno.EDQUOT, "is full"),
        (errno.EROFS, "cannot be written"),
        (errno.EACCES, "cannot be written"),
    ],
)
def test_refusals_of_the_system_are_explained(number: int, said: str) -> None:
    explained = directory.explain(OSError(number, os.strerror(number)), Path("data"))
    assert said in explained.what
    assert os.strerror(number) in explained.why


def test_ports_are_kept_over_restarts() -> None:
    public, *others = free_ports(len(PROGRAMS))
    remembered = dict(zip([name for name in PROGRAMS if name != "gateway"], others, strict=True))
    assert directory.choose_ports(remembered, public) == {**remembered, "gateway": public}


def test_a_remembered_port_that_someone_took_is_replaced() -> None:
    public, taken = free_ports(2)
    with socket.socket() as other:
        other.bind(("127.0.0.1", taken))
        other.listen()
        chosen = directory.choose_ports({"ledger": taken}, public)
    assert chosen["ledger"] != taken
    assert len(set(chosen.values())) == len(PROGRAMS)


def test_a_taken_public_port_names_its_owner() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(OperatorError) as refused:
            directory.choose_ports({}, port)
    assert f"Port {port} is in use" in refused.value.what
    assert str(os.getpid()) in refused.value.why
