"""Every reason for which the ledger refuses a command, with its stable code.

    PaymentError
    └── LedgerError
        ├── AccountError
        │   ├── AccountNotFound     account_not_found                     no such account for this merchant and mode
        │   ├── AccountIdReused     account_id_reused_with_other_content  same id, another code, currency, owner or mode
        │   ├── AccountCodeCharted  account_code_charted                  the chart has this code for something else
        │   ├── AccountUnlimited    account_has_no_minimum                a merchant may not spend what is not there
        │   ├── AccountFrozen       account_frozen                        no new holds or debits
        │   ├── AccountClosed       account_closed                        no postings and no holds
        │   ├── CurrencyMismatch    currency_mismatch                     the account or hold is in another currency
        │   ├── AccountElsewhere    account_elsewhere                     another ledger of the installation keeps it
        │   ├── AccountNotEmpty     account_not_empty                     only an empty account can be closed
        │   ├── InsufficientFunds   insufficient_funds                    available balance would fall below its minimum
        │   ├── InsufficientMerchantBalance insufficient_merchant_balance  a refund is more than we owe the merchant
        │   ├── BalanceAboveMaximum balance_above_maximum                 ledger balance would pass its maximum
        │   └── BalanceOverflow     balance_overflow                      a total would pass 38 digits
        ├── ModeError
        │   ├── ModeNotAllowed      mode_not_allowed                      the credentials are for the other mode
        │   ├── TopUpInLiveMode     test_mode_only                        top-ups exist in test mode only
        │   └── OperatorOnly        operator_only                         a merchant's credentials do not allow this
        ├── EntryError
        │   ├── EntryUnbalanced     entry_unbalanced                      debits and credits differ in a currency
        │   ├── EffectiveInFuture   effective_in_future                   it says it happened later than now
        │   ├── PostingInvalid      posting_invalid                       an amount not in 1..10^38-1, or fewer than two
        │   ├── EntryIdReused       entry_id_reused_with_other_content    same entry id, other content
        │   ├── EntryNotFound       entry_not_found                       no such entry to reverse
        │   ├── EntryIdTooOld       entry_id_too_old                      its month was archived and takes nothing more
        │   ├── EntryNotSealedYet   entry_not_sealed_yet                  no block seals it yet; ask again shortly
        │   ├── BlockNotFound       block_not_found                       no block of this number
        │   ├── EntryNotReversible  entry_not_reversible                  a payment's entry, or itself a reversal
        │   ├── LinkedRefused       linked_entries_refused                one of them was refused, so none is posted
        │   └── LinkedPartlyPosted  linked_entries_partly_posted          some are posted already, others are not
        ├── TransferError
        │   ├── TransferIdReused    transfer_id_reused_with_other_content  same transfer id, other content
        │   └── TransferNotFound    transfer_not_found                    no such transfer for this merchant and mode
        └── HoldError
            ├── HoldNotFound        hold_not_found                        capture of a hold that was never placed
            ├── HoldIdReused        hold_id_reused_with_other_content     same hold id, other content
            ├── HoldRefused         (the first refusal's code)            asked again after a refusal: the same answer
            ├── HoldAlreadyVoided   hold_already_voided                   also: voided before it was placed
            ├── HoldAlreadyCaptured hold_already_captured                 nothing is left to capture
            ├── HoldHasExpired      hold_expired                          its deadline passed
            ├── HoldDeadlinePassed  hold_deadline_passed                  the new deadline lies in the past
            └── CaptureAboveHold    capture_above_hold                    more than what is still held

Each is also one of rialto_common's kinds (NotFound, Conflict, Forbidden, InvalidRequest, IdempotencyKeyReused), by
which HTTP goes. A refusal is an answer (outcome, `posting.refused` event, problem), never a failure of its batch.
"""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from rialto_common.errors import Conflict, Forbidden, IdempotencyKeyReused, InvalidRequest, NotFound, PaymentError


class LedgerError(PaymentError):
    """A command the ledger refuses."""

    code: ClassVar[str] = "ledger_refused"


class AccountError(LedgerError):
    """An account does not allow the command."""

    code = "account_refused"


class AccountNotFound(AccountError, NotFound):
    """No such account for this merchant and mode; another's account looks the same as none."""

    code = "account_not_found"

    def __init__(self, account_id: UUID) -> None:
        super().__init__(f"no account {account_id} for this merchant and mode; open it first")
        self.account_id = account_id


class AccountIdReused(AccountError, IdempotencyKeyReused):
    """An account of this id exists with another code, currency, owner or mode."""

    code = "account_id_reused_with_other_content"

    def __init__(self, account_id: UUID) -> None:
        super().__init__(f"account {account_id} was already opened with another currency, owner or mode")
        self.account_id = account_id


class AccountCodeCharted(AccountError, InvalidRequest):
    """The chart of accounts has this code, with another type, owner or minimum."""

    code = "account_code_charted"

    def __init__(self, account_code: str) -> None:
        super().__init__(
            f"the chart of accounts has the code {account_code} with another type, owner or minimum, or a wallet's, "
            "which is opened by its id; open it as docs/ledger/POSTING_RULES.md lists it, or take another code"
        )
        self.account_code = account_code


class AccountUnlimited(AccountError, Conflict):
    """A merchant holds or transfers nothing from an account without a minimum: it could be overdrawn without end."""

    code = "account_has_no_minimum"

    def __init__(self, account_id: UUID) -> None:
        super().__init__(
            f"account {account_id} has no minimum, so what is taken from it need not be there; a merchant's payable is "
            "paid out, and spent by nobody"
        )
        self.account_id = account_id


class AccountFrozen(AccountError, Conflict):
    """A frozen account takes credits, captures and releases, but no new debits or holds."""

    code = "account_frozen"

    def __init__(self, account_id: UUID) -> None:
        super().__init__(f"account {account_id} is frozen: no new holds or debits")
        self.account_id = account_id


class AccountClosed(AccountError, Conflict):
    """A closed account takes nothing more."""

    code = "account_closed"

    def __init__(self, account_id: UUID) -> None:
        super().__init__(f"account {account_id} is closed")
        self.account_id = account_id


class CurrencyMismatch(AccountError, InvalidRequest):
    """The command is in another currency than its account or hold."""

    code = "currency_mismatch"

    def __init__(self, expected: str, given: str) -> None:
        super().__init__(f"this account is in {expected[:12]}, the command in {given[:12]}")
        self.expected = expected
        self.given = given


class InsufficientFunds(AccountError, Conflict):
    """The available balance would fall below the account's minimum."""

    code = "insufficient_funds"

    def __init__(self, account_id: UUID, available_minor: int, requested_minor: int) -> None:
        super().__init__(f"account {account_id} has {available_minor} available, {requested_minor} was asked for")
        self.account_id = account_id
        self.available_minor = available_minor
        self.requested_minor = requested_minor


class InsufficientMerchantBalance(AccountError, Conflict):
    """We owe the merchant less than the refund; ask again once more was captured."""

    code = "insufficient_merchant_balance"

    def __init__(self, account_id: UUID, available_minor: int, requested_minor: int) -> None:
        super().__init__(
            f"the merchant has {available_minor} at its disposal and the refund is of {requested_minor}; ask again "
            "once more was captured"
        )
        self.account_id = account_id
        self.available_minor = available_minor
        self.requested_minor = requested_minor


class AccountElsewhere(AccountError, Conflict):
    """The account's shard is another ledger's: ask that one, or send it money by a transfer."""

    code = "account_elsewhere"

    def __init__(self, account_id: UUID, keeper: str) -> None:
        super().__init__(f"account {account_id} is not in this ledger; by its shard the ledger '{keeper}' keeps it")
        self.account_id = account_id
        self.keeper = keeper


class AccountNotEmpty(AccountError, Conflict):
    """An account is closed only once nothing is on it and nothing is held on it."""

    code = "account_not_empty"

    def __init__(self, account_id: UUID, ledger_balance_minor: int, held_minor: int) -> None:
        super().__init__(
            f"account {account_id} still has {ledger_balance_minor}, of which {held_minor} are held; empty it first"
        )
        self.account_id = account_id
        self.ledger_balance_minor = ledger_balance_minor
        self.held_minor = held_minor


class BalanceAboveMaximum(AccountError, Conflict):
    """The ledger balance would pass the account's maximum."""

    code = "balance_above_maximum"

    def __init__(self, account_id: UUID, maximum_minor: int, balance_minor: int) -> None:
        super().__init__(f"account {account_id} may have {maximum_minor} at most and would have {balance_minor}")
        self.account_id = account_id
        self.maximum_minor = maximum_minor
        self.balance_minor = balance_minor


class BalanceOverflow(AccountError, Conflict):
    """A total of the account would need more than 38 digits."""

    code = "balance_overflow"

    def __init__(self, account_id: UUID) -> None:
        super().__init__(f"a total of account {account_id} would pass 38 digits")
        self.account_id = account_id


class ModeError(LedgerError, Forbidden):
    """Test and live never mix."""

    code = "mode_refused"


class ModeNotAllowed(ModeError):
    """The credentials are for the other mode."""

    code = "mode_not_allowed"

    def __init__(self, asked: str, allowed: str) -> None:
        super().__init__(f"these credentials are for {allowed} mode, not {asked}", param="mode")


class TopUpInLiveMode(ModeError):
    """Money is made up in test mode only."""

    code = "test_mode_only"

    def __init__(self) -> None:
        super().__init__("top-ups exist in test mode only; use a test key", param="kind")


class OperatorOnly(ModeError):
    """What touches the platform's accounts or the books as a whole is the operator's."""

    code = "operator_only"

    def __init__(self) -> None:
        super().__init__("only the operator may do this; use credentials that name no merchant")


class EntryError(LedgerError):
    """The entry itself is wrong."""

    code = "entry_refused"


class EntryUnbalanced(EntryError, InvalidRequest):
    """Debits and credits differ in a currency."""

    code = "entry_unbalanced"

    def __init__(self, entry_id: UUID, currency: str, difference_minor: int) -> None:
        super().__init__(f"entry {entry_id}: debits minus credits in {currency[:12]} is {difference_minor}, not 0")
        self.entry_id = entry_id
        self.currency = currency
        self.difference_minor = difference_minor


class PostingInvalid(EntryError, InvalidRequest):
    """An amount outside 1..10^38-1, or an entry of fewer than two postings."""

    code = "posting_invalid"


class EffectiveInFuture(EntryError, InvalidRequest):
    """An entry books what has happened."""

    code = "effective_in_future"

    def __init__(self, effective_at: datetime) -> None:
        super().__init__(
            f"{effective_at.isoformat()} lies in the future; check the sender's clock", param="effective_at"
        )
        self.effective_at = effective_at


class EntryIdReused(EntryError, IdempotencyKeyReused):
    """The journal has an entry of this id with other content."""

    code = "entry_id_reused_with_other_content"

    def __init__(self, entry_id: UUID) -> None:
        super().__init__(f"entry {entry_id} is already posted with other content")
        self.entry_id = entry_id


class EntryNotFound(EntryError, NotFound):
    """There is no such entry in this mode."""

    code = "entry_not_found"

    def __init__(self, entry_id: UUID) -> None:
        super().__init__(f"no entry {entry_id} here")
        self.entry_id = entry_id


class EntryIdTooOld(EntryError, Conflict):
    """The id is of a month that was archived: whether it has moved money before can be asked of the archive alone."""

    code = "entry_id_too_old"

    def __init__(self, entry_id: UUID) -> None:
        super().__init__(f"entry {entry_id} is of a month that was archived; post the movement under a new id")
        self.entry_id = entry_id


class EntryNotSealedYet(EntryError, Conflict):
    """A proof leads to a block, and the entry's is still to come."""

    code = "entry_not_sealed_yet"

    def __init__(self, entry_id: UUID) -> None:
        super().__init__(f"no block seals entry {entry_id} yet; ask again in some seconds")
        self.entry_id = entry_id


class BlockNotFound(EntryError, NotFound):
    """There is no block of this number."""

    code = "block_not_found"

    def __init__(self, number: int) -> None:
        super().__init__(f"no block {number} here")
        self.number = number


class EntryNotReversible(EntryError, Conflict):
    """A payment's entries are undone by what undoes the payment's step; a reversal is final."""

    code = "entry_not_reversible"

    def __init__(self, entry_id: UUID, why: str) -> None:
        super().__init__(f"entry {entry_id} cannot be reversed: {why}")
        self.entry_id = entry_id


class LinkedRefused(EntryError, Conflict):
    """All or nothing: the command at `index` was refused for `cause`, so none is posted."""

    code = "linked_entries_refused"

    def __init__(self, index: int, cause: LedgerError) -> None:
        super().__init__(f"none is posted, as number {index} is refused ({cause.stable_code}): {cause.detail}")
        self.index = index
        self.cause = cause


class LinkedPartlyPosted(EntryError, IdempotencyKeyReused):
    """Entries that are posted together are also asked for again together."""

    code = "linked_entries_partly_posted"

    def __init__(self, index: int) -> None:
        super().__init__(f"none is posted, as number {index} is in the journal already and others are not")
        self.index = index


class TransferError(LedgerError):
    """The transfer's state does not allow it."""

    code = "transfer_refused"


class TransferIdReused(TransferError, IdempotencyKeyReused):
    """A transfer of this id says something else, here or in the ledger that it was sent to."""

    code = "transfer_id_reused_with_other_content"

    def __init__(self, transfer_id: UUID) -> None:
        super().__init__(f"transfer {transfer_id} was already asked for with other content")
        self.transfer_id = transfer_id


class TransferNotFound(TransferError, NotFound):
    """There is no such transfer for this merchant and mode, as far as this ledger knows."""

    code = "transfer_not_found"

    def __init__(self, transfer_id: UUID) -> None:
        super().__init__(f"no transfer {transfer_id} here")
        self.transfer_id = transfer_id


class HoldError(LedgerError):
    """The hold's state does not allow the command."""

    code = "hold_refused"

    def __init__(self, hold_id: UUID, detail: str) -> None:
        super().__init__(f"hold {hold_id}: {detail}")
        self.hold_id = hold_id


class HoldNotFound(HoldError, NotFound):
    """Nothing was ever placed under this id."""

    code = "hold_not_found"

    def __init__(self, hold_id: UUID) -> None:
        super().__init__(hold_id, "was never placed")


class HoldIdReused(HoldError, IdempotencyKeyReused):
    """A hold of this id exists with another account, amount or currency."""

    code = "hold_id_reused_with_other_content"

    def __init__(self, hold_id: UUID) -> None:
        super().__init__(hold_id, "was already asked for with another account, amount or currency")


class HoldRefused(HoldError, Conflict):
    """The placing was refused before, and is refused again for the same reason."""

    def __init__(self, hold_id: UUID, refusal_code: str) -> None:
        super().__init__(hold_id, f"was refused: {refusal_code}")
        self.refusal_code = refusal_code

    @property
    def stable_code(self) -> str:
        return self.refusal_code


class HoldAlreadyVoided(HoldError, Conflict):
    """It was voided, perhaps before it was placed."""

    code = "hold_already_voided"

    def __init__(self, hold_id: UUID) -> None:
        super().__init__(hold_id, "was voided")


class HoldAlreadyCaptured(HoldError, Conflict):
    """A final capture booked it; nothing is left."""

    code = "hold_already_captured"

    def __init__(self, hold_id: UUID) -> None:
        super().__init__(hold_id, "is captured and nothing is left of it")


class HoldHasExpired(HoldError, Conflict):
    """Its deadline passed."""

    code = "hold_expired"

    def __init__(self, hold_id: UUID) -> None:
        super().__init__(hold_id, "its deadline passed")


class CaptureAboveHold(HoldError, Conflict):
    """More was asked for than is still held."""

    code = "capture_above_hold"

    def __init__(self, hold_id: UUID, remaining_minor: int, requested_minor: int) -> None:
        super().__init__(hold_id, f"{remaining_minor} is still held, {requested_minor} was asked for")
        self.remaining_minor = remaining_minor
        self.requested_minor = requested_minor


class HoldDeadlinePassed(HoldError, InvalidRequest):
    """The new deadline lies in the past."""

    code = "hold_deadline_passed"

    def __init__(self, hold_id: UUID) -> None:
        super().__init__(hold_id, "the new deadline has passed already; void the hold to release it")
