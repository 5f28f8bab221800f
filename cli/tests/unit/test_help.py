"""Every command explains itself."""

from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from rialto_cli.app import build


def commands(command: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command and group below, by its words."""
    below = sorted(getattr(command, "commands", {}).items())
    return [path, *(words for name, child in below for words in commands(child, (*path, name)))]


@pytest.mark.parametrize("words", commands(typer.main.get_command(build())), ids=" ".join)
def test_a_command_prints_its_help(words: tuple[str, ...]) -> None:
    answer = CliRunner().invoke(build(), [*words, "--help"])
    assert answer.exit_code == 0, answer.exception
    assert "Usage:" in answer.output
