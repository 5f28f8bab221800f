"""The resources of both clients: each names the calls it has (`rialto/calls`), which are carried out or awaited."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from rialto._call import Call, ListCall
from rialto._listing import AsyncListing, Listing
from rialto.calls import customers, events, funds, other, payment_links, payments, refunds, webhook_endpoints

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


class AsyncOther(AsyncResource):
    """What there is no method for."""

    request = awaited(other.request)


class AsyncPayments(AsyncResource):
    """Payments: made, captured, voided, refunded."""

    create = awaited(payments.create)
    retrieve = awaited(payments.retrieve)
    list = iterated(payments.list_)
    capture = awaited(payments.capture)
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
