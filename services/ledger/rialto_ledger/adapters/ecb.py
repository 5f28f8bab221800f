"""The European Central Bank's daily reference rates, over HTTP."""

import asyncio

import httpx

from rialto_common.runtime import Runtime
from rialto_ledger.adapters import ecb_xml
from rialto_ledger.application.rates import RateSheet, RatesUnavailable

URL = "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-daily.xml"
SOURCE = "ecb"
TIMEOUT_SECONDS = 10.0
"""For the whole call, however slowly the bytes come."""


class EcbRates:
    """Asks the bank, and only the bank: a redirect is no answer, so nobody on the way can send us elsewhere."""

    def __init__(self, runtime: Runtime, *, url: str = URL, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._url = url
        self._timeout_seconds = timeout_seconds
        self._http = runtime.http_client(timeout=timeout_seconds, follow_redirects=False)

    async def fetch(self, known: str | None) -> RateSheet | None:
        """Return what is published, or None when its ETag is the known one. Raises: RatesUnavailable."""
        # Not compressed: a small body could then become a large one before it is counted.
        headers = {"Accept-Encoding": "identity"} | ({} if known is None else {"If-None-Match": known})
        try:
            async with (
                asyncio.timeout(self._timeout_seconds),
                self._http.stream("GET", self._url, headers=headers) as response,
            ):
                if response.status_code == httpx.codes.NOT_MODIFIED and known is not None:
                    return None
                if response.status_code != httpx.codes.OK:
                    raise RatesUnavailable(f"the bank answers {response.status_code}")
                content = await _read(response)
        except (httpx.HTTPError, TimeoutError) as error:
            raise RatesUnavailable(f"the bank does not answer: {type(error).__name__}: {error}"[:300]) from error
        return RateSheet(ecb_xml.parse(content, source=SOURCE), response.headers.get("etag"))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


async def _read(response: httpx.Response) -> bytes:
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) > ecb_xml.MAX_BYTES:
            raise RatesUnavailable(f"the bank answers with more than {ecb_xml.MAX_BYTES} bytes")
    return bytes(content)
