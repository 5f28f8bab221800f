"""A platform of a test's own."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .embedded_run import Rialto
from .fake_services import install


@pytest.fixture(scope="module")
def fakes() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rialto-fakes-") as name:
        Path(name).chmod(0o755)
        yield install(Path(name) / "packages")


@pytest.fixture
def rialto(tmp_path: Path, fakes: Path) -> Iterator[Rialto]:
    # pytest's folders are 0700 and root's when root runs this: below one, PostgreSQL's account may not look.
    platform = Rialto(tmp_path / "data", fakes)
    yield platform
    platform.end()


@pytest.fixture(scope="module")
def running(fakes: Path) -> Iterator[Rialto]:
    """A platform that runs, shared by the tests of a module that leave it so."""
    with tempfile.TemporaryDirectory(prefix="rialto-running-") as name:
        platform = Rialto(Path(name) / "data", fakes)
        platform.up()
        yield platform
        platform.end()
