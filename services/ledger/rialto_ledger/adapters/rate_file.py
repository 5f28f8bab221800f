"""Rates from a file in the European Central Bank's format, for an installation that does not reach out."""

import asyncio
from datetime import UTC, datetime, time
from hashlib import sha256
from pathlib import Path

from rialto_common.runtime import Runtime
from rialto_ledger.adapters import ecb_xml
from rialto_ledger.application.rates import RateSheet, RatesUnavailable

SAMPLE_RATES = Path(__file__).parents[1] / "data" / "sample_rates.xml"
"""Made-up rates that come with Rialto."""


class RateFile:
    """Reads a file again and again, so that it can be replaced while we run.

    Rates without a date (as the sample that comes with Rialto) are of the day on which they are read.
    """

    def __init__(self, path: Path, source: str, runtime: Runtime) -> None:
        self._path = path
        self._source = source
        self._runtime = runtime

    async def fetch(self, known: str | None) -> RateSheet | None:
        """Return what is in the file, or None when that is known. Raises: RatesUnavailable."""
        try:
            content = await asyncio.to_thread(self._read)
        except OSError as error:
            raise RatesUnavailable(f"the file of rates cannot be read: {error.strerror}") from error
        today = datetime.combine(self._runtime.now().date(), time(), UTC)
        version = f"{today:%Y-%m-%d} {sha256(content).hexdigest()}"
        if version == known:
            return None
        return RateSheet(ecb_xml.parse(content, source=self._source, undated=today), version)

    def _read(self) -> bytes:
        with self._path.open("rb") as file:
            return file.read(ecb_xml.MAX_BYTES + 1)
