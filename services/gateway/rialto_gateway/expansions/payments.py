"""Objects beside the ids that a payment names, and lists of what belongs to it: one query each for a whole page."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from rialto_common import ids
from rialto_common.database import Pool, load_queries
from rialto_common.runtime import Runtime
from rialto_gateway.customers.api import customer_view
from rialto_gateway.customers.store import Customers, Owner
from rialto_gateway.disputes.api import dispute_view
from rialto_gateway.merchants.keys import Principal
from rialto_gateway.payments.ports import PaymentReader
from rialto_gateway.payments.view import capture_view, payment_view, timeline_view
from rialto_gateway.payouts.api import payout_view
from rialto_gateway.refunds.service import refund_view
from rialto_gateway.saved_methods.api import mandate_view, method_view
from rialto_gateway.saved_methods.store import SavedMethods

QUERIES = load_queries(__package__)

View = dict[str, Any]
Views = Sequence[View]
Rows = Sequence[Mapping[str, Any]]


class PaymentExpansions:
    """Adds to payments as the API shows them. What another merchant's object would be is never found."""

    def __init__(
        self, pool: Pool, reader: PaymentReader, customers: Customers, saved: SavedMethods, runtime: Runtime
    ) -> None:
        self._pool = pool
        self._reader = reader
        self._customers = customers
        self._saved = saved
        self._runtime = runtime

    async def add(self, wanted: frozenset[str], payments: Views, caller: Principal) -> None:
        """Add what is wanted, by its path, to each of these payments of the caller.

        Raises: Forbidden: the operator asks for what only merchants are shown.
        """
        for path in sorted(wanted):
            await _ADDED[path](self, payments, caller)

    async def payment(self, payment_id: UUID, caller: Principal) -> View | None:
        """Return a payment as lists show it; None where there is none for this caller."""
        row = await self._reader.row(payment_id, caller.merchant_id, caller.mode)
        return None if row is None else payment_view(row)

    async def _captures(self, payments: Views, _caller: Principal) -> None:
        rows = await self._pool.fetch(QUERIES["captures"], _ids(payments))
        _append(payments, "captures", rows, capture_view)

    async def _timeline(self, payments: Views, _caller: Principal) -> None:
        rows = await self._pool.fetch(QUERIES["timeline"], _ids(payments))
        _append(payments, "timeline", rows, timeline_view)

    async def _refunds(self, payments: Views, _caller: Principal) -> None:
        rows = await self._pool.fetch(QUERIES["refunds"], _ids(payments))
        _append(payments, "refunds", rows, refund_view)

    async def _disputes(self, payments: Views, caller: Principal) -> None:
        owner = _owner(caller)
        rows = await self._pool.fetch(QUERIES["disputes"], _ids(payments), owner.merchant_id, owner.mode)
        _append(payments, "disputes", rows, dispute_view)

    async def _payout(self, payments: Views, caller: Principal) -> None:
        owner, named = _owner(caller), _named("po", (each["payout_id"] for each in payments))
        rows = await self._pool.fetch(QUERIES["payouts"], named, owner.merchant_id, owner.mode)
        found = {view["id"]: view for view in map(payout_view, rows)}
        for each in payments:
            each["payout"] = found.get(each["payout_id"])

    async def _method(self, payments: Views, caller: Principal) -> None:
        owner = _owner(caller)
        methods = await self._saved.methods(owner, _methods(payments))
        found = {view["id"]: view for view in (method_view(method, owner) for method in methods)}
        for each in payments:
            paid_with = each["payment_method"]
            paid_with["payment_method"] = found.get(paid_with.get("payment_method_id"))

    async def _mandate(self, payments: Views, caller: Principal) -> None:
        owner, now = _owner(caller), self._runtime.now()
        named = _named("mdt", (each["payment_method"].get("mandate_id") for each in payments))
        kept = await self._saved.mandates_named(owner, named)
        found = {view["id"]: view for view in (mandate_view(each, each.mandate.status(now)) for each in kept)}
        for each in payments:
            each["payment_method"]["mandate"] = found.get(each["payment_method"].get("mandate_id"))

    async def _customer(self, payments: Views, caller: Principal) -> None:
        owner = _owner(caller)
        methods = await self._saved.methods(owner, _methods(payments))
        of_method = {ids.to_text("pm", method.id): method.customer_id for method in methods}
        customers = await self._customers.named(owner, sorted(set(of_method.values())))
        found = {customer.id: customer_view(customer) for customer in customers}
        for each in payments:
            customer_id = of_method.get(each["payment_method"].get("payment_method_id"))
            each["customer"] = None if customer_id is None else found.get(customer_id)


_ADDED: Mapping[str, Callable[[PaymentExpansions, Views, Principal], Awaitable[None]]] = {
    "captures": PaymentExpansions._captures,
    "customer": PaymentExpansions._customer,
    "disputes": PaymentExpansions._disputes,
    "payment_method.mandate": PaymentExpansions._mandate,
    "payment_method.payment_method": PaymentExpansions._method,
    "payout": PaymentExpansions._payout,
    "refunds": PaymentExpansions._refunds,
    "timeline": PaymentExpansions._timeline,
}


def _owner(caller: Principal) -> Owner:
    merchant_id, mode, _ = caller.merchant()
    return Owner(merchant_id, mode)


def _ids(payments: Views) -> list[UUID]:
    return [ids.from_text("pay", each["id"]) for each in payments]


def _methods(payments: Views) -> list[UUID]:
    return _named("pm", (each["payment_method"].get("payment_method_id") for each in payments))


def _named(prefix: str, texts: Iterable[str | None]) -> list[UUID]:
    return sorted({ids.from_text(prefix, text) for text in texts if text is not None})


def _append(payments: Views, name: str, rows: Rows, view: Callable[[Mapping[str, Any]], View]) -> None:
    """Add each row's view to the list of the payment that it belongs to, which is empty where there are none."""
    of_payment: dict[str, list[View]] = {each["id"]: [] for each in payments}
    for row in rows:
        of_payment[ids.to_text("pay", row["payment_id"])].append(view(row))
    for each in payments:
        each[name] = of_payment[each["id"]]
