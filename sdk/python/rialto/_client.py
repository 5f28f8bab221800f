"""The clients: they send what `_exchange` says, and hold the resources."""

import asyncio
import os
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import httpx

from rialto import resources
from rialto._call import Call
from rialto._exchange import API_VERSION, Body, Effects, Options, Outcome, Pause, Request, Steps, exchange

T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:8080"
TIMEOUT_SECONDS = 10.0
RETRY_SECONDS = 60.0


class _Client:
    """What both clients are told."""

    def __init__(
        self,
        api_key: str | None,
        base_url: str | None,
        timeout_seconds: float,
        retry_seconds: float,
        api_version: str,
        effects: Effects | None,
    ) -> None:
        key = api_key or os.environ.get("RIALTO_KEY")
        if not key:
            raise ValueError("no API key: pass one, or set RIALTO_KEY")
        url = base_url or os.environ.get("RIALTO_URL") or DEFAULT_URL
        if not _is_address(url):
            raise ValueError(f"base_url is {url!r}, and must be http:// or https:// and a host")
        self._options = Options(key, url, timeout_seconds, retry_seconds, api_version, _user_agent())
        self._effects = effects or Effects()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self._options.base_url!r})"

    def with_options(self, *, timeout_seconds: float | None = None, retry_seconds: float | None = None) -> Self:
        """Return a client on the same connections with other limits, such as `retry_seconds=0` for one try only."""
        copied: Self = object.__new__(type(self))
        copied.__dict__.update(self.__dict__)
        copied._options = replace(
            self._options,
            timeout_seconds=self._options.timeout_seconds if timeout_seconds is None else timeout_seconds,
            retry_seconds=self._options.retry_seconds if retry_seconds is None else retry_seconds,
        )
        copied._bind()
        return copied

    def _bind(self) -> None:
        raise NotImplementedError


class Rialto(_Client):
    """The API, called and waited for. Thread-safe; use as a context manager, or `close()` it."""

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
        api_version: str = API_VERSION,
        transport: httpx.BaseTransport | None = None,
        effects: Effects | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take the key from RIALTO_KEY and the address from RIALTO_URL where they are not given.

        Args: timeout_seconds: for one try. retry_seconds: for all tries of a call together.
        Raises: ValueError: there is no key, or the address is none.
        """
        super().__init__(api_key, base_url, timeout_seconds, retry_seconds, api_version, effects)
        self._http = httpx.Client(transport=transport)
        self._sleep = sleep
        self._bind()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _bind(self) -> None:
        self.request = resources.Other(self._run).request
        self.payments = resources.Payments(self._run)
        self.refunds = resources.Refunds(self._run)
        self.customers = resources.Customers(self._run)
        self.payment_links = resources.PaymentLinks(self._run)
        self.events = resources.Events(self._run)
        self.webhook_endpoints = resources.WebhookEndpoints(self._run)
        self.wallets = resources.Wallets(self._run)
        self.transfers = resources.Transfers(self._run)
        self.fx_quotes = resources.FxQuotes(self._run)
        self.balance_transactions = resources.BalanceTransactions(self._run)
        self.disputes = resources.Disputes(self._run)
        self.balance = resources.Balance(self._run)
        self.payouts = resources.Payouts(self._run)
        self.payout_settings = resources.PayoutSettings(self._run)
        self.fees = resources.Fees(self._run)
        self.pricing = resources.Pricing(self._run)
        self.payment_methods = resources.PaymentMethods(self._run)
        self.mandates = resources.Mandates(self._run)

    def _run(self, call: Call[T]) -> T:
        steps: Steps[T] = exchange(call, self._options, self._effects)
        outcome: Outcome | None = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                return cast(T, end.value)
            outcome = self._do(step)

    def _do(self, step: Request | Pause) -> Outcome | None:
        if isinstance(step, Pause):
            self._sleep(step.seconds)
            return None
        try:
            body = Body(step, self._effects.monotonic)
            with self._http.stream(**step.arguments()) as response:
                if response.is_stream_consumed:  # a transport that had all of it, as tests have
                    return response
                for part in response.iter_raw():
                    body.add(part)
            return body.of(response)
        except httpx.TransportError as error:
            return error


class AsyncRialto(_Client):
    """The API for asyncio. Use as an async context manager, or `await close()`."""

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
        api_version: str = API_VERSION,
        transport: httpx.AsyncBaseTransport | None = None,
        effects: Effects | None = None,
        sleep: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        """See Rialto."""
        super().__init__(api_key, base_url, timeout_seconds, retry_seconds, api_version, effects)
        self._http = httpx.AsyncClient(transport=transport)
        self._sleep = sleep
        self._bind()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def _bind(self) -> None:
        self.request = resources.AsyncOther(self._run).request
        self.payments = resources.AsyncPayments(self._run)
        self.refunds = resources.AsyncRefunds(self._run)
        self.customers = resources.AsyncCustomers(self._run)
        self.payment_links = resources.AsyncPaymentLinks(self._run)
        self.events = resources.AsyncEvents(self._run)
        self.webhook_endpoints = resources.AsyncWebhookEndpoints(self._run)
        self.wallets = resources.AsyncWallets(self._run)
        self.transfers = resources.AsyncTransfers(self._run)
        self.fx_quotes = resources.AsyncFxQuotes(self._run)
        self.balance_transactions = resources.AsyncBalanceTransactions(self._run)
        self.disputes = resources.AsyncDisputes(self._run)
        self.balance = resources.AsyncBalance(self._run)
        self.payouts = resources.AsyncPayouts(self._run)
        self.payout_settings = resources.AsyncPayoutSettings(self._run)
        self.fees = resources.AsyncFees(self._run)
        self.pricing = resources.AsyncPricing(self._run)
        self.payment_methods = resources.AsyncPaymentMethods(self._run)
        self.mandates = resources.AsyncMandates(self._run)

    async def _run(self, call: Call[T]) -> T:
        steps: Steps[T] = exchange(call, self._options, self._effects)
        outcome: Outcome | None = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                return cast(T, end.value)
            outcome = await self._do(step)

    async def _do(self, step: Request | Pause) -> Outcome | None:
        if isinstance(step, Pause):
            await self._sleep(step.seconds)
            return None
        try:
            body = Body(step, self._effects.monotonic)
            async with self._http.stream(**step.arguments()) as response:
                if response.is_stream_consumed:  # see above
                    return response
                async for part in response.aiter_raw():
                    body.add(part)
            return body.of(response)
        except httpx.TransportError as error:
            return error


def _is_address(url: str) -> bool:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    return parsed.scheme in ("http", "https") and bool(parsed.host) and not parsed.query and not parsed.fragment


def _user_agent() -> str:
    try:
        ours = version("rialto")
    except PackageNotFoundError:  # run from its folder, not installed
        ours = "dev"
    return f"rialto-python/{ours} python/{platform.python_version()}"
