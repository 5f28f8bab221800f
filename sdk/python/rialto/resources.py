"""The resources of both clients: each names the calls it has (`rialto/calls`), which are carried out or awaited."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from rialto._call import Call, ListCall
from rialto._listing import AsyncListing, Listing
from rialto.calls import (
    customers,
    disputes,
    events,
    fees,
    funds,
    other,
    payment_links,
    payments,
    payouts,
    refunds,
    saved_methods,
    webhook_endpoints,
)

P = ParamSpec("P")
T = TypeVar("T")


class Run(Protocol):
    """Carries out a call."""

    def __call__(self, call: Call[T]) -> T: ...


class AsyncRun(Protocol):
    """Carries out a call, to be awaited."""

    def __call__(self, call: Call[T]) -> Coroutine[Any, Any, T]: ...


class Resource:
    """Calls that belong together."""

    def __init__(self, run: Run) -> None:
        self._run = run


class AsyncResource:
    """Calls that belong together, to be awaited."""

    def __init__(self, run: AsyncRun) -> None:
        self._run = run


def called(describe: Callable[P, Call[T]]) -> Callable[Concatenate[Resource, P], T]:
    """Return the method that carries out a call."""

    @wraps(describe)
    def method(self: Resource, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._run(describe(*args, **kwargs))

    return method


def listed(describe: Callable[P, ListCall[T]]) -> Callable[Concatenate[Resource, P], Listing[T]]:
    """Return the method that goes through a list."""

    @wraps(describe)
    def method(self: Resource, /, *args: P.args, **kwargs: P.kwargs) -> Listing[T]:
        return Listing(self._run, describe(*args, **kwargs))

    return method


def awaited(describe: Callable[P, Call[T]]) -> Callable[Concatenate[AsyncResource, P], Coroutine[Any, Any, T]]:
    """Return the method that carries out a call, to be awaited."""

    @wraps(describe)
    def method(self: AsyncResource, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        return self._run(describe(*args, **kwargs))

    return method


def iterated(describe: Callable[P, ListCall[T]]) -> Callable[Concatenate[AsyncResource, P], AsyncListing[T]]:
    """Return the method that goes through a list with `async for`."""

    @wraps(describe)
    def method(self: AsyncResource, /, *args: P.args, **kwargs: P.kwargs) -> AsyncListing[T]:
        return AsyncListing(self._run, describe(*args, **kwargs))

    return method


class Other(Resource):
    """What there is no method for."""

    request = called(other.request)


class Payments(Resource):
    """Payments: made, captured, voided, refunded."""

    create = called(payments.create)
    retrieve = called(payments.retrieve)
    list = listed(payments.list_)
    capture = called(payments.capture)
    increment = called(payments.increment)
    void = called(payments.void)
    refund = called(refunds.create)
    refunds = listed(refunds.list_)


class Refunds(Resource):
    """Refunds."""

    create = called(refunds.create)
    retrieve = called(refunds.retrieve)
    list = listed(refunds.list_)


class Customers(Resource):
    """Customers."""

    create = called(customers.create)
    retrieve = called(customers.retrieve)
    list = listed(customers.list_)
    update = called(customers.update)
    delete = called(customers.delete)


class PaymentLinks(Resource):
    """Payment links."""

    create = called(payment_links.create)
    retrieve = called(payment_links.retrieve)
    list = listed(payment_links.list_)
    deactivate = called(payment_links.deactivate)


class Events(Resource):
    """Events."""

    retrieve = called(events.retrieve)
    list = listed(events.list_)


class WebhookEndpoints(Resource):
    """Webhook endpoints and their deliveries."""

    create = called(webhook_endpoints.create)
    retrieve = called(webhook_endpoints.retrieve)
    update = called(webhook_endpoints.update)
    rotate_secret = called(webhook_endpoints.rotate_secret)
    delete = called(webhook_endpoints.delete)
    send_test = called(webhook_endpoints.send_test)
    retrieve_delivery = called(webhook_endpoints.retrieve_delivery)
    redeliver = called(webhook_endpoints.redeliver)
    redeliver_range = called(webhook_endpoints.redeliver_range)
    list = listed(webhook_endpoints.list_)
    deliveries = listed(webhook_endpoints.list_deliveries)


class Wallets(Resource):
    """Wallets."""

    create = called(funds.create_wallet)
    retrieve = called(funds.retrieve_wallet)
    top_up = called(funds.top_up)


class Transfers(Resource):
    """Transfers between wallets."""

    create = called(funds.create_transfer)
    retrieve = called(funds.retrieve_transfer)


class FxQuotes(Resource):
    """FX quotes."""

    create = called(funds.create_quote)
    retrieve = called(funds.retrieve_quote)
    convert = called(funds.convert)


class BalanceTransactions(Resource):
    """What changed what is owed to you."""

    list = listed(funds.list_balance_transactions)


class Disputes(Resource):
    """Disputes, and the evidence against them."""

    retrieve = called(disputes.retrieve)
    list = listed(disputes.list_)
    post_evidence = called(disputes.post_evidence)
    submit = called(disputes.submit)
    accept = called(disputes.accept)


class Balance(Resource):
    """What is owed to you."""

    retrieve = called(payouts.retrieve_balance)


class Payouts(Resource):
    """How what is owed to you is paid."""

    create = called(payouts.create)
    retrieve = called(payouts.retrieve)
    list = listed(payouts.list_)


class PayoutSettings(Resource):
    """When you are paid."""

    retrieve = called(payouts.retrieve_settings)
    update = called(payouts.update_settings)


class Fees(Resource):
    """What you were charged."""

    list = listed(fees.list_)
    totals = called(fees.totals)


class Pricing(Resource):
    """What your payments cost you."""

    retrieve = called(fees.retrieve_pricing)


class PaymentMethods(Resource):
    """Cards that are kept for a customer."""

    attach = called(saved_methods.attach)
    retrieve = called(saved_methods.retrieve)
    list = listed(saved_methods.list_)
    detach = called(saved_methods.detach)


class Mandates(Resource):
    """What customers agreed may be charged without them."""

    create = called(saved_methods.create_mandate)
    retrieve = called(saved_methods.retrieve_mandate)
    list = listed(saved_methods.list_mandates)
    revoke = called(saved_methods.revoke_mandate)


class AsyncOther(AsyncResource):
    """What there is no method for."""

    request = awaited(other.request)


class AsyncPayments(AsyncResource):
    """Payments: made, captured, voided, refunded."""

    create = awaited(payments.create)
    retrieve = awaited(payments.retrieve)
    list = iterated(payments.list_)
    capture = awaited(payments.capture)
    increment = awaited(payments.increment)
    void = awaited(payments.void)
    refund = awaited(refunds.create)
    refunds = iterated(refunds.list_)


class AsyncRefunds(AsyncResource):
    """Refunds."""

    create = awaited(refunds.create)
    retrieve = awaited(refunds.retrieve)
    list = iterated(refunds.list_)


class AsyncCustomers(AsyncResource):
    """Customers."""

    create = awaited(customers.create)
    retrieve = awaited(customers.retrieve)
    list = iterated(customers.list_)
    update = awaited(customers.update)
    delete = awaited(customers.delete)


class AsyncPaymentLinks(AsyncResource):
    """Payment links."""

    create = awaited(payment_links.create)
    retrieve = awaited(payment_links.retrieve)
    list = iterated(payment_links.list_)
    deactivate = awaited(payment_links.deactivate)


class AsyncEvents(AsyncResource):
    """Events."""

    retrieve = awaited(events.retrieve)
    list = iterated(events.list_)


class AsyncWebhookEndpoints(AsyncResource):
    """Webhook endpoints and their deliveries."""

    create = awaited(webhook_endpoints.create)
    retrieve = awaited(webhook_endpoints.retrieve)
    update = awaited(webhook_endpoints.update)
    rotate_secret = awaited(webhook_endpoints.rotate_secret)
    delete = awaited(webhook_endpoints.delete)
    send_test = awaited(webhook_endpoints.send_test)
    retrieve_delivery = awaited(webhook_endpoints.retrieve_delivery)
    redeliver = awaited(webhook_endpoints.redeliver)
    redeliver_range = awaited(webhook_endpoints.redeliver_range)
    list = iterated(webhook_endpoints.list_)
    deliveries = iterated(webhook_endpoints.list_deliveries)


class AsyncWallets(AsyncResource):
    """Wallets."""

    create = awaited(funds.create_wallet)
    retrieve = awaited(funds.retrieve_wallet)
    top_up = awaited(funds.top_up)


class AsyncTransfers(AsyncResource):
    """Transfers between wallets."""

    create = awaited(funds.create_transfer)
    retrieve = awaited(funds.retrieve_transfer)


class AsyncFxQuotes(AsyncResource):
    """FX quotes."""

    create = awaited(funds.create_quote)
    retrieve = awaited(funds.retrieve_quote)
    convert = awaited(funds.convert)


class AsyncBalanceTransactions(AsyncResource):
    """What changed what is owed to you."""

    list = iterated(funds.list_balance_transactions)


class AsyncDisputes(AsyncResource):
    """Disputes, and the evidence against them."""

    retrieve = awaited(disputes.retrieve)
    list = iterated(disputes.list_)
    post_evidence = awaited(disputes.post_evidence)
    submit = awaited(disputes.submit)
    accept = awaited(disputes.accept)


class AsyncBalance(AsyncResource):
    """What is owed to you."""

    retrieve = awaited(payouts.retrieve_balance)


class AsyncPayouts(AsyncResource):
    """How what is owed to you is paid."""

    create = awaited(payouts.create)
    retrieve = awaited(payouts.retrieve)
    list = iterated(payouts.list_)


class AsyncPayoutSettings(AsyncResource):
    """When you are paid."""

    retrieve = awaited(payouts.retrieve_settings)
    update = awaited(payouts.update_settings)


class AsyncFees(AsyncResource):
    """What you were charged."""

    list = iterated(fees.list_)
    totals = awaited(fees.totals)


class AsyncPricing(AsyncResource):
    """What your payments cost you."""

    retrieve = awaited(fees.retrieve_pricing)


class AsyncPaymentMethods(AsyncResource):
    """Cards that are kept for a customer."""

    attach = awaited(saved_methods.attach)
    retrieve = awaited(saved_methods.retrieve)
    list = iterated(saved_methods.list_)
    detach = awaited(saved_methods.detach)


class AsyncMandates(AsyncResource):
    """What customers agreed may be charged without them."""

    create = awaited(saved_methods.create_mandate)
    retrieve = awaited(saved_methods.retrieve_mandate)
    list = iterated(saved_methods.list_mandates)
    revoke = awaited(saved_methods.revoke_mandate)
