"""Calls to the ledger's HTTP API: short-lived service tokens, and what it refuses as an exception of its own."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import httpx

from rialto_common.errors import ServiceUnavailable
from rialto_common.runtime import Runtime
from rialto_common.service_tokens import Caller, ServiceTokens
from rialto_gateway.merchants.keys import Mode


class LedgerProblem(Exception):
    """The ledger understood and refused; `code` is its own, and stable."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail


class LedgerCalls:
    """Asks the ledger on behalf of a merchant, or of the operator. Every call that writes carries an id of its own."""

    def __init__(self, http: httpx.AsyncClient, tokens: ServiceTokens, runtime: Runtime) -> None:
        """`http` has the ledger's base URL."""
        self._http = http
        self._tokens = tokens
        self._runtime = runtime

    async def get(
        self, path: str, merchant_id: UUID | None, mode: Mode, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Return what is there. Raises: LedgerProblem; ServiceUnavailable: it does not answer."""
        return await self._send("GET", path, merchant_id, mode, params=query)

    async def post(self, path: str, merchant_id: UUID | None, mode: Mode, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return what was done, now or when it was asked for before.

        Raises: LedgerProblem; ServiceUnavailable: perhaps it was done, perhaps not, and the same call finds out or does
        it.
        """
        self._runtime.crash_point("gateway.ledger_call.before_send")
        answer = await self._send("POST", path, merchant_id, mode, json=body)
        self._runtime.crash_point("gateway.ledger_call.after_send")
        return answer

    async def _send(
        self, method: str, path: str, merchant_id: UUID | None, mode: Mode, **request: Any
    ) -> dict[str, Any]:
        caller = Caller("gateway", merchant_id, mode)
        headers = {"Authorization": f"Bearer {self._tokens.issue(caller, audience='ledger')}"}
        try:
            response = await self._http.request(method, path, headers=headers, **request)
        except httpx.HTTPError as error:
            raise ServiceUnavailable("the ledger does not answer just now; send the same request again") from error
        if response.is_success:
            answer: dict[str, Any] = response.json()
            return answer
        if response.status_code >= 500 or response.status_code == 401:
            raise ServiceUnavailable("the ledger cannot answer just now; send the same request again")
        problem = response.json()
        detail = str(problem.get("detail", "the ledger refused"))
        raise LedgerProblem(response.status_code, str(problem.get("code", "ledger_refused")), detail)
