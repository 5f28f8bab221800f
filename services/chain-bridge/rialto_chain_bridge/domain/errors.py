"""The chain-bridge's errors.

PaymentError
├── InvalidRequest
│   └── SettlementRefused        can never be paid as asked; `code` says why
│       ├── PayeeInvalid         not an address, a mistyped one, or one of our own contracts
│       ├── AmountNotPayable     not a whole number of token units, or too large for the contract
│       └── ModeNotServed        a live payment at a test bridge, or the other way round
├── NotFound
│   └── SettlementNotFound       no such settlement for this caller
├── Conflict
│   └── SettlementContentChanged the payment's settlement was asked for before, with other content
└── ServiceUnavailable
    ├── ChainUnavailable         the node does not answer, or not sensibly: what was sent may have arrived
    ├── ChainMismatch            the node serves another chain than the one we sign for
    └── NotDeployed              the contracts are not known yet
"""

from rialto_common.errors import Conflict, InvalidRequest, NotFound, ServiceUnavailable


class SettlementRefused(InvalidRequest):
    """The settlement can never be paid as it was asked for."""

    code = "settlement_refused"


class PayeeInvalid(SettlementRefused):
    """Not an address, one with a wrong checksum, or one of our own contracts."""

    code = "payee_address_invalid"


class AmountNotPayable(SettlementRefused):
    """Not a whole number of token units, or more than the contract's 96 bits."""

    code = "amount_not_payable"


class ModeNotServed(SettlementRefused):
    """This bridge serves the other mode."""

    code = "mode_not_served"


class SettlementNotFound(NotFound):
    """No such settlement, as far as this caller may know."""

    code = "settlement_not_found"


class SettlementContentChanged(Conflict):
    """A second request for a payment's settlement differs from the first."""

    code = "settlement_content_changed"


class ChainUnavailable(ServiceUnavailable):
    """The node does not answer: whether what was sent arrived is unknown until it does."""

    code = "chain_unavailable"


class ChainMismatch(ServiceUnavailable):
    """The node serves another chain than the one that transactions are signed for."""

    code = "chain_mismatch"


class NotDeployed(ServiceUnavailable):
    """The contracts are not known yet."""

    code = "not_deployed"
