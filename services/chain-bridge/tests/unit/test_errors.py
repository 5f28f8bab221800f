"""Every error has a code of its own."""

from rialto_chain_bridge.domain import errors
from rialto_common.errors import PaymentError
from rialto_common.problems import status_of


def own_errors() -> list[type[PaymentError]]:
    found = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, PaymentError)]
    return [error for error in found if error.__module__ == errors.__name__]


def test_codes_are_unique_and_every_error_has_a_status() -> None:
    kinds = own_errors()
    assert len(kinds) >= 8
    assert len({kind.code for kind in kinds}) == len(kinds)
    statuses = {kind.__name__: status_of(kind("detail")) for kind in kinds}
    assert statuses["SettlementNotFound"] == 404
    assert statuses["ChainUnavailable"] == statuses["NotDeployed"] == 503
    assert statuses["PayeeInvalid"] == 400
    assert statuses["SettlementContentChanged"] == 409
