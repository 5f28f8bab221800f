"""Wrongs to plant, as superuser, in a copy of the world: one for each thing that the audit says it would notice."""

from dataclasses import dataclass

# One payment that was settled in one piece, and its entries; and one that is still authorised.
SETTLED = "(SELECT payment_id FROM gateway.payments WHERE idempotency_key = 'settled 0')"
HELD = "(SELECT payment_id FROM gateway.payments WHERE idempotency_key = 'held')"
CAPTURE = f"(SELECT id FROM ledger.journal_entries WHERE kind = 'capture' AND payment_id = {SETTLED})"
SETTLEMENT = f"(SELECT id FROM ledger.journal_entries WHERE kind = 'chain_settlement' AND payment_id = {SETTLED})"
DEPOSIT = "(SELECT id FROM ledger.journal_entries WHERE kind = 'deposit')"
TOP_UP = "(SELECT id FROM ledger.journal_entries WHERE kind = 'top_up' ORDER BY id LIMIT 1)"
SETTLED_KEY = (
    "(SELECT min(l.key) FROM bus.log AS l JOIN gateway.timeline AS t ON t.cause = l.event_id::TEXT"
    f" WHERE t.payment_id = {SETTLED})"
)


def event(name: str) -> str:
    """Return the condition that finds the settled payment's event of a type."""
    return f"type = 'rialto.{name}.v1' AND key = {SETTLED_KEY}"


def copy(table: str, changes: dict[str, str], where: str) -> str:
    """Return the statement that inserts copies of rows with some columns changed."""
    changed = ", ".join(f"'{column}', {value}" for column, value in changes.items())
    return (
        f"INSERT INTO {table} SELECT (jsonb_populate_record(t, jsonb_build_object({changed}))).* "
        f"FROM {table} AS t WHERE {where}"
    )


def copy_entry(entry: str, new: str, **changes: str) -> tuple[str, str]:
    """Return the statements that book an entry once more under another id."""
    return (
        copy("ledger.postings", {"entry_id": f"'{new}'"}, f"t.entry_id = {entry}"),
        copy("ledger.journal_entries", {"id": f"'{new}'", **changes}, f"t.id = {entry}"),
    )


@dataclass(frozen=True, slots=True)
class Plant:
    """A wrong: which check of which invariant must name it, and the statements that do it."""

    invariant: str
    check: str
    name: str
    statements: tuple[str, ...]


def plant(invariant: str, check: str, name: str, *statements: str) -> Plant:
    """Return a plant."""
    return Plant(invariant, check, name, statements)


NEW = "01900000-0000-7000-8000-000000000001"
OTHER = "01900000-0000-7000-8000-000000000002"

DISPUTE = (
    "INSERT INTO gateway.disputes (dispute_id, payment_id, merchant_id, mode, currency, connector, reference,"
    " amount_minor, fee_minor, reason, state, asks, respond_by, opened_at, due_at, created_at, updated_at)"
    f" SELECT '{NEW}', payment_id, merchant_id, mode, currency, 'sim', 'dsp_1', 5, 0, 'fraudulent', 'needs_response',"
    " 0, created_at, created_at, created_at - INTERVAL '1 hour', created_at, created_at"
    f" FROM gateway.payments WHERE payment_id = {SETTLED}"
)

I1 = (
    plant(
        "I1",
        "unbalanced_entry",
        "a posting's amount changed",
        f"UPDATE ledger.postings SET amount_minor = amount_minor + 1 WHERE line = 0 AND entry_id = {CAPTURE}",
    ),
    plant(
        "I1",
        "unbalanced_entry",
        "an unbalanced entry added",
        *copy_entry(CAPTURE, NEW),
        f"DELETE FROM ledger.postings WHERE entry_id = '{NEW}' AND line = 1",
    ),
    plant(
        "I1",
        "entry_without_postings",
        "an entry's postings deleted",
        f"DELETE FROM ledger.postings WHERE entry_id = {CAPTURE}",
    ),
    plant(
        "I1",
        "stray_posting",
        "an entry deleted beneath its postings",
        f"DELETE FROM ledger.journal_entries WHERE id = {CAPTURE}",
    ),
    plant(
        "I1",
        "stray_posting",
        "an entry in a currency that its accounts do not have",
        f"UPDATE ledger.postings SET currency = 'EUR' WHERE entry_id = {CAPTURE}",
    ),
    plant(
        "I1",
        "stray_posting",
        "an account deleted beneath its postings",
        "DELETE FROM ledger.accounts WHERE code LIKE 'customer:%'",
    ),
)
I2 = (
    plant(
        "I2",
        "wrong_totals",
        "a stored total too high",
        "UPDATE ledger.accounts SET credits_minor = credits_minor + 1 WHERE code LIKE 'customer:%'",
    ),
    plant(
        "I2",
        "wrong_totals",
        "a stored total of holds forgotten",
        "UPDATE ledger.accounts SET held_minor = 0 WHERE held_minor > 0",
    ),
    plant(
        "I2",
        "wrong_totals",
        "both sides of an entry changed",
        f"UPDATE ledger.postings SET amount_minor = amount_minor + 1 WHERE entry_id = {CAPTURE}",
    ),
    plant(
        "I2",
        "below_limit",
        "a wallet overdrawn, with totals to match",
        "ALTER TABLE ledger.accounts DROP CONSTRAINT accounts_available_above_minimum",
        *copy_entry(CAPTURE, NEW),
        f"UPDATE ledger.postings SET amount_minor = 5000000 WHERE entry_id = '{NEW}'",
        "UPDATE ledger.accounts AS a SET debits_minor = p.d, credits_minor = p.c FROM (SELECT account_id,"
        " coalesce(sum(amount_minor) FILTER (WHERE side = 'debit'), 0) AS d,"
        " coalesce(sum(amount_minor) FILTER (WHERE side = 'credit'), 0) AS c"
        " FROM ledger.postings GROUP BY account_id) AS p WHERE p.account_id = a.id",
    ),
    plant(
        "I2",
        "above_maximum",
        "a maximum lowered beneath what is there",
        "ALTER TABLE ledger.accounts DROP CONSTRAINT accounts_balance_below_maximum",
        "UPDATE ledger.accounts SET maximum_balance_minor = 1 WHERE maximum_balance_minor IS NOT NULL",
    ),
    plant(
        "I2",
        "api_hold_not_as_captured",
        "a hold of the API's that says less was captured",
        "UPDATE ledger.holds SET captured_minor = captured_minor - 1, released_minor = released_minor + 1"
        " WHERE payment_id IS NULL AND captured_minor > 0",
    ),
    plant(
        "I2",
        "api_hold_not_as_captured",
        "a capture of a hold of the API's that is not there",
        "DELETE FROM ledger.holds WHERE payment_id IS NULL AND captured_minor > 0",
    ),
    plant(
        "I2",
        "status_differs",
        "an account frozen without a reason",
        "UPDATE ledger.accounts SET status = 'frozen' WHERE code LIKE 'merchant:%'",
    ),
    plant(
        "I2",
        "chain_broken",
        "an entry taken out of its chain",
        f"CREATE TEMP TABLE gone AS SELECT {CAPTURE} AS id",
        "DELETE FROM ledger.postings WHERE entry_id = (SELECT id FROM gone)",
        "DELETE FROM ledger.journal_entries WHERE id = (SELECT id FROM gone)",
    ),
    plant(
        "I2",
        "chain_broken",
        "two entries in one place of a chain",
        "UPDATE ledger.journal_entries SET chain_position = 1 WHERE chain_position = 2",
    ),
    plant(
        "I2",
        "chain_broken",
        "a head that names another hash",
        "UPDATE ledger.chain_heads SET hash = sha256('another') WHERE position > 0",
    ),
    plant(
        "I2",
        "stray_hold",
        "a hold moved to no account",
        f"UPDATE ledger.holds SET account_id = '{NEW}' WHERE status = 'pending'",
    ),
    plant(
        "I2",
        "hold_not_as_captured",
        "a hold that says less was captured",
        f"UPDATE ledger.holds SET captured_minor = captured_minor - 1, released_minor = released_minor + 1"
        f" WHERE payment_id = {SETTLED}",
    ),
)
I3 = (
    plant("I3", "no_deadline", "a deadline row deleted", f"DELETE FROM gateway.deadlines WHERE payment_id = {HELD}"),
    plant(
        "I3",
        "no_deadline",
        "a deadline row moved",
        f"UPDATE gateway.deadlines SET due_at = due_at + INTERVAL '1 day' WHERE payment_id = {HELD}",
    ),
    plant(
        "I3",
        "stray_deadline",
        "a deadline for a settled payment",
        f"INSERT INTO gateway.deadlines SELECT {SETTLED}, '2099-01-01'",
    ),
    plant(
        "I3",
        "overdue",
        "a deadline that passed",
        f"UPDATE gateway.payments SET deadline_at = '2020-01-01' WHERE payment_id = {HELD}",
        f"UPDATE gateway.deadlines SET due_at = '2020-01-01' WHERE payment_id = {HELD}",
    ),
    plant(
        "I3",
        "payout_overdue",
        "a payout that nobody counts",
        "INSERT INTO gateway.payouts (payout_id, merchant_id, mode, currency, amount_minor, payments, asked_by, state,"
        f" sequence, deadline_at, created_at, updated_at) SELECT '{NEW}', merchant_id, mode, currency, 5, 1,"
        f" 'schedule', 'pending', 1, created_at - INTERVAL '1 hour', created_at, created_at FROM gateway.payments"
        f" WHERE payment_id = {SETTLED}",
    ),
    plant("I3", "dispute_overdue", "a dispute that nobody asks about", DISPUTE),
    plant(
        "I3",
        "attempt_overdue",
        "an attempt that nobody asks about",
        "INSERT INTO gateway.attempts (attempt_id, payment_id, merchant_id, mode, currency, step, ordinal, connector,"
        " amount_minor, final, state, asked_at, created_at, due_at)"
        f" SELECT '{NEW}', payment_id, merchant_id, mode, currency, 'authorise', 1, 'harbour', 1, FALSE, 'unknown',"
        f" created_at, created_at, '2020-01-01' FROM gateway.payments WHERE payment_id = {HELD}",
    ),
    plant(
        "I3",
        "created_not_told",
        "a payment.created event deleted",
        f"DELETE FROM bus.log WHERE {event('payment.created')}",
    ),
    plant("I3", "lost_payment", "a payment deleted", f"DELETE FROM gateway.payments WHERE payment_id = {SETTLED}"),
    plant(
        "I3",
        "lost_payment",
        "a payment deleted with all its rows",
        f"CREATE TEMP TABLE gone AS SELECT {SETTLED} AS id",
        *(
            f"DELETE FROM gateway.{table} WHERE payment_id = (SELECT id FROM gone)"
            for table in ("timeline", "captures", "deadlines", "payments")
        ),
    ),
    plant(
        "I3",
        "timeline_differs",
        "a state set by hand",
        f"UPDATE gateway.payments SET state = 'voided' WHERE payment_id = {SETTLED}",
    ),
    plant(
        "I3",
        "timeline_differs",
        "a timeline without its beginning",
        f"DELETE FROM gateway.timeline WHERE nth = 1 AND payment_id = {SETTLED}",
    ),
)
I4 = (
    plant(
        "I4",
        "payment_accepted_twice",
        "two payments under one idempotency key",
        "ALTER TABLE gateway.payments DROP CONSTRAINT payments_idempotency",
        copy("gateway.payments", {"payment_id": f"'{NEW}'"}, f"t.payment_id = {SETTLED}"),
    ),
    plant(
        "I4",
        "identity_twice",
        "a top-up booked twice under its id",
        "ALTER TABLE ledger.journal_entries DROP CONSTRAINT journal_entries_pk",
        "INSERT INTO ledger.journal_entries SELECT * FROM ledger.journal_entries WHERE kind = 'top_up'",
    ),
    plant("I4", "two_holds", "a second hold", copy("ledger.holds", {"id": f"'{NEW}'"}, f"t.payment_id = {SETTLED}")),
    plant("I4", "captured_twice", "a capture booked twice", *copy_entry(CAPTURE, NEW)),
    plant(
        "I4",
        "captured_above_hold",
        "a capture booked twice, as if it were two",
        *copy_entry(CAPTURE, NEW, metadata='\'{"capture_id": "cap_other"}\'::JSONB'),
    ),
    plant(
        "I4",
        "capture_never_asked_for",
        "a capture that the gateway does not know",
        f"DELETE FROM gateway.captures WHERE payment_id = {SETTLED}",
    ),
    plant(
        "I4",
        "refunded_twice",
        "a refund booked twice",
        *copy_entry(CAPTURE, NEW, kind="'refund'", metadata='\'{"refund_id": "re_1"}\'::JSONB'),
        *copy_entry(CAPTURE, OTHER, kind="'refund'", metadata='\'{"refund_id": "re_1"}\'::JSONB'),
    ),
    plant(
        "I4",
        "refunded_above_captured",
        "refunds of twice what was captured",
        *copy_entry(CAPTURE, NEW, kind="'refund'", metadata='\'{"refund_id": "re_1"}\'::JSONB'),
        *copy_entry(CAPTURE, OTHER, kind="'refund'", metadata='\'{"refund_id": "re_2"}\'::JSONB'),
    ),
    plant(
        "I4",
        "refund_never_asked_for",
        "a refund that the gateway does not know",
        *copy_entry(CAPTURE, NEW, kind="'refund'", metadata='\'{"refund_id": "re_1"}\'::JSONB'),
    ),
    plant("I4", "settled_twice", "a settlement booked twice", *copy_entry(SETTLEMENT, NEW)),
    plant(
        "I4",
        "settled_twice",
        "a settlement taken back twice",
        *copy_entry(SETTLEMENT, NEW, kind="'chain_settlement_reversal'", reverses=f"{SETTLEMENT}"),
        *copy_entry(SETTLEMENT, OTHER, kind="'chain_settlement_reversal'", reverses=f"{SETTLEMENT}"),
    ),
    plant(
        "I4",
        "reversed_wrongly",
        "a reversal that moves the money on instead of back",
        *copy_entry(SETTLEMENT, NEW, kind="'chain_settlement_reversal'", reverses=f"{SETTLEMENT}"),
    ),
    plant(
        "I4",
        "settlement_record_differs",
        "a settlement's record deleted",
        f"DELETE FROM ledger.settlements WHERE payment_id = {SETTLED}",
    ),
    plant(
        "I4",
        "settlement_record_differs",
        "a settlement's record reversed",
        f"UPDATE ledger.settlements SET status = 'reversed' WHERE payment_id = {SETTLED}",
    ),
    plant(
        "I4",
        "settled_not_as_captured",
        "a settlement of more than was captured",
        f"UPDATE ledger.postings SET amount_minor = amount_minor + 1 WHERE line < 2 AND entry_id = {SETTLEMENT}",
    ),
    plant(
        "I4",
        "settled_not_as_captured",
        "a settlement of more tokens than that",
        f"UPDATE ledger.postings SET amount_minor = amount_minor + 1 WHERE line > 1 AND entry_id = {SETTLEMENT}",
    ),
    plant(
        "I4",
        "asked_to_pay_otherwise",
        "a settlement asked for with another payee",
        f"UPDATE chain_bridge.intents SET payee_address = '0x{1:040x}' WHERE payment_id = {SETTLED}",
    ),
    plant(
        "I4",
        "asked_to_pay_otherwise",
        "a settlement asked for with another amount",
        f"UPDATE chain_bridge.intents SET amount_minor = amount_minor + 1 WHERE payment_id = {SETTLED}",
    ),
    plant(
        "I4",
        "paid_otherwise",
        "a payee that is not who was paid",
        f"UPDATE gateway.payments SET payee_address = '0x{1:040x}' WHERE payment_id = {SETTLED}",
    ),
    plant(
        "I4",
        "paid_unasked",
        "a payment on chain without a request",
        f"DELETE FROM chain_bridge.intents WHERE payment_id = {SETTLED}",
    ),
)
I5 = (
    plant(
        "I5",
        "sum_of_postings",
        "a posting's amount changed",
        f"UPDATE ledger.postings SET amount_minor = amount_minor + 1 WHERE line = 0 AND entry_id = {CAPTURE}",
    ),
    plant(
        "I5",
        "sum_of_accounts",
        "a stored total too high",
        "UPDATE ledger.accounts SET credits_minor = credits_minor + 1 WHERE code LIKE 'merchant:%'",
    ),
)
I6 = (
    plant(
        "I6",
        "paid_not_booked",
        "a settlement that the ledger lost",
        f"CREATE TEMP TABLE gone AS SELECT {SETTLEMENT} AS id",
        *(
            f"DELETE FROM ledger.{table} WHERE {column} = (SELECT id FROM gone)"
            for table, column in (("settlements", "entry_id"), ("postings", "entry_id"), ("journal_entries", "id"))
        ),
    ),
    plant(
        "I6",
        "booked_not_paid",
        "a settlement that the chain has not paid",
        *copy_entry(SETTLEMENT, NEW, payment_id=HELD),
    ),
    plant(
        "I6",
        "booked_otherwise",
        "a settlement booked with another amount",
        f"UPDATE ledger.postings SET amount_minor = amount_minor + 1 WHERE line > 1 AND entry_id = {SETTLEMENT}",
    ),
    plant(
        "I6",
        "taken_back",
        "a settlement in a block that the chain does not have",
        *copy_entry(
            SETTLEMENT,
            NEW,
            payment_id=HELD,
            metadata='\'{"block_number": "2", "block_hash": "0x12", "tx_hash": "0x34"}\'::JSONB',
        ),
    ),
    plant(
        "I6",
        "settled_not_paid",
        "a payment called settled that was not paid",
        f"UPDATE gateway.payments SET state = 'settled', deadline_at = NULL, amount_captured_minor = 5"
        f" WHERE payment_id = {HELD}",
    ),
    plant(
        "I6",
        "deposit_not_booked",
        "a deposit that the ledger lost",
        f"CREATE TEMP TABLE gone AS SELECT {DEPOSIT} AS id",
        "DELETE FROM ledger.postings WHERE entry_id = (SELECT id FROM gone)",
        "DELETE FROM ledger.journal_entries WHERE id = (SELECT id FROM gone)",
    ),
    plant(
        "I6",
        "deposit_not_on_chain",
        "a deposit that the chain does not have",
        *copy_entry(DEPOSIT, NEW, metadata='\'{"deposit_id": "dep_1", "tx_hash": "0x12"}\'::JSONB'),
    ),
    plant(
        "I6",
        "unknown_chain",
        "a treasury on a chain that nobody runs",
        "UPDATE ledger.accounts SET code = 'chain:1:RUSD:treasury' WHERE code LIKE 'chain:%:treasury'",
    ),
)
I7 = (
    plant(
        "I7",
        "payment_total_differs",
        "a captured total too low at the gateway",
        f"UPDATE gateway.payments SET amount_captured_minor = amount_captured_minor - 1 WHERE payment_id = {SETTLED}",
    ),
    plant(
        "I7",
        "payment_total_differs",
        "a captured amount too high in the ledger",
        f"UPDATE ledger.postings SET amount_minor = amount_minor + 1 WHERE entry_id = {CAPTURE}",
    ),
    plant(
        "I7",
        "capture_differs",
        "a capture called failed that was booked",
        f"UPDATE gateway.captures SET state = 'failed' WHERE payment_id = {SETTLED}",
    ),
    plant(
        "I7",
        "capture_differs",
        "a capture called pending whose answer was handled",
        f"UPDATE gateway.captures SET state = 'pending' WHERE payment_id = {SETTLED}",
    ),
    plant(
        "I7",
        "amount_not_as_held",
        "a payment raised at the gateway alone",
        f"UPDATE gateway.payments SET amount_minor = amount_minor + 1 WHERE payment_id = {HELD}",
    ),
    plant(
        "I7",
        "payment_not_as_its_increments",
        "an increment that succeeded changed to one that failed",
        f"UPDATE gateway.increments SET state = 'failed', failure_code = 'x' WHERE payment_id = {HELD}",
    ),
    plant(
        "I7",
        "payment_not_as_its_captures",
        "a capture's amount changed at the gateway",
        f"UPDATE gateway.captures SET amount_minor = amount_minor - 1 WHERE payment_id = {SETTLED}",
    ),
    plant(
        "I7",
        "merchant_total_differs",
        "a capture booked for another merchant",
        "UPDATE ledger.postings SET account_id = (SELECT id FROM ledger.accounts WHERE code LIKE 'merchant:%'"
        " AND id <> account_id LIMIT 1)"
        f" WHERE side = 'credit' AND entry_id = {CAPTURE}",
    ),
)
PAYOUT = (
    "INSERT INTO gateway.payouts (payout_id, merchant_id, mode, currency, amount_minor, payments, asked_by, state,"
    f" sequence, deadline_at, created_at, updated_at) SELECT '{NEW}', merchant_id, mode, currency, 5, 1, 'merchant',"
    f" 'pending', 1, created_at, created_at, created_at FROM gateway.payments WHERE payment_id = {SETTLED}"
)
REFUND = (
    "INSERT INTO gateway.refunds (refund_id, payment_id, merchant_id, mode, currency, ordinal, amount_minor, metadata,"
    f" state, created_at, updated_at) SELECT '{NEW}', payment_id, merchant_id, mode, currency, 99, 5, '{{}}',"
    f" 'succeeded', created_at, created_at FROM gateway.payments WHERE payment_id = {SETTLED}"
)
FEE = (
    "INSERT INTO gateway.fees (fee_id, payment_id, merchant_id, mode, currency, kind, amount_minor, bps, fixed_minor,"
    f" charged_at) SELECT '{NEW}', payment_id, merchant_id, mode, currency, 'dispute', 5, 0, 5, created_at"
    f" FROM gateway.payments WHERE payment_id = {SETTLED}"
)
I7_OF_REFUNDS = (
    plant("I7", "refund_differs", "a refund called succeeded that was not booked", REFUND),
    plant("I7", "payment_not_as_its_refunds", "a refund that its payment does not count", REFUND),
    plant(
        "I7",
        "unpaid_differs",
        "a settled payment kept as unpaid",
        "INSERT INTO gateway.payables SELECT payment_id, merchant_id, mode, currency, amount_captured_minor, FALSE"
        f" FROM gateway.payments WHERE payment_id = {SETTLED}",
    ),
    plant("I7", "fees_differ", "a fee that was not booked", FEE),
    plant(
        "I7",
        "fees_differ",
        "a fee booked that nobody was charged",
        "UPDATE ledger.accounts SET code = 'fees:income' WHERE code = 'acquirer:test:receivable'",
        "UPDATE ledger.postings SET account_id = (SELECT id FROM ledger.accounts WHERE code = 'fees:income')"
        f" WHERE side = 'credit' AND entry_id = {CAPTURE}",
    ),
    plant(
        "I7",
        "payment_not_as_its_fees",
        "a payment that was charged what no fee says",
        f"UPDATE gateway.payments SET fee_minor = 1 WHERE payment_id = {SETTLED}",
    ),
    plant("I7", "dispute_differs", "a dispute that is not booked", DISPUTE),
    plant(
        "I7",
        "dispute_differs",
        "a chargeback that no dispute asked for",
        *copy_entry(CAPTURE, NEW, kind="'chargeback_lost'", metadata='\'{"dispute_id": "dp_1"}\'::JSONB'),
        f"UPDATE ledger.accounts SET code = 'merchant:mer_1:reserve' WHERE id = (SELECT account_id FROM ledger.postings"
        f" WHERE entry_id = {CAPTURE} AND side = 'credit')",
    ),
    plant("I7", "payment_not_as_its_disputes", "a dispute that its payment does not count", DISPUTE),
    plant(
        "I7",
        "held_back_above_captured",
        "more held back than a day had",
        "INSERT INTO gateway.held_back (merchant_id, mode, currency, day, amount_minor)"
        f" SELECT merchant_id, mode, currency, '2020-01-01', 5 FROM gateway.payments WHERE payment_id = {SETTLED}",
    ),
    plant("I7", "payout_differs", "a payout of a payment that is in none", PAYOUT),
    plant(
        "I7",
        "payout_differs",
        "a payment in a payout that there is not",
        f"UPDATE gateway.payments SET payout_id = '{NEW}' WHERE payment_id = {SETTLED}",
    ),
    plant(
        "I7",
        "left_in_suspense",
        "money in suspense for a capture that nobody waits for",
        *copy_entry(CAPTURE, NEW, kind="'suspended'", metadata='\'{"capture_id": "cap_1"}\'::JSONB'),
    ),
    plant(
        "I7",
        "acquirer_settlement_differs",
        "a line of a settlement file that was not booked",
        "INSERT INTO gateway.settlement_lines (file_id, line, kind, acquirer_id, reference, authorisation, currency,"
        " gross_minor, fee_minor, net_minor, settled_on, attempt_id)"
        f" VALUES ('{NEW}', 2, 'captured', 'c', 'r', 'a', 'USD', 5, 1, 4, '2026-03-01', '{NEW}')",
    ),
    plant(
        "I7",
        "acquirer_settlement_differs",
        "a settlement that no line says",
        "UPDATE ledger.accounts SET code = 'acquirer:harbour:receivable' WHERE code = 'acquirer:test:receivable'",
        *copy_entry(TOP_UP, NEW, kind="'acquirer_settlement'", metadata='\'{"settles": "att_1"}\'::JSONB'),
    ),
)
NEXT = "(SELECT next_position FROM bus.topics WHERE topic = t.topic)"
I8 = (
    plant(
        "I8",
        "out_of_order",
        "a sequence that goes back",
        f"UPDATE bus.log SET sequence = 1 WHERE {event('payment.settled')}",
    ),
    plant(
        "I8",
        "out_of_order",
        "two events that changed places",
        f"UPDATE bus.log SET position = position + 1000000 WHERE {event('payment.created')}",
    ),
    plant(
        "I8",
        "key_in_two_partitions",
        "an event in another partition",
        f"UPDATE bus.log SET partition = (partition + 1) % 4 WHERE {event('payment.settled')}",
    ),
    plant(
        "I8", "log_has_gap", "an event deleted from the log", f"DELETE FROM bus.log WHERE {event('payment.settled')}"
    ),
    plant(
        "I8",
        "log_has_gap",
        "the log's first event deleted",
        "DELETE FROM bus.log WHERE topic = 'rialto.payments.v1' AND position = 1",
    ),
    plant(
        "I8",
        "log_has_gap",
        "the log's last event deleted",
        "DELETE FROM bus.log AS l WHERE topic = 'rialto.ledger.v1'"
        " AND position = (SELECT max(position) FROM bus.log WHERE topic = l.topic)",
    ),
    plant(
        "I8",
        "one_id_two_events",
        "an event published twice",
        copy("bus.log", {"position": NEXT}, f"t.{event('hold.captured')}"),
        "UPDATE bus.topics SET next_position = next_position + 1 WHERE topic = 'rialto.ledger.v1'",
    ),
    plant(
        "I8",
        "one_id_two_events",
        "an answer told again with another content",
        copy(
            "bus.log",
            {"position": NEXT, "data": "'{}'::JSONB", "causation_id": "'x'"},
            "t.type = 'rialto.hold.voided.v1'",
        ),
        "UPDATE bus.topics SET next_position = next_position + 1 WHERE topic = 'rialto.ledger.v1'",
    ),
    plant(
        "I8",
        "event_skipped",
        "an inbox row deleted",
        "DELETE FROM fraud.inbox WHERE event_id = (SELECT event_id FROM fraud.inbox LIMIT 1)",
    ),
    plant(
        "I8",
        "overtaken",
        "an inbox row deleted before that of a later event, and the cursors put back",
        f"DELETE FROM gateway.inbox WHERE event_id = (SELECT event_id FROM bus.log WHERE {event('hold.placed')})",
        "UPDATE bus.cursors SET position = 0",
    ),
    plant(
        "I8",
        "taken_in_twice",
        "an inbox row twice",
        "ALTER TABLE gateway.inbox DROP CONSTRAINT inbox_pk",
        "INSERT INTO gateway.inbox SELECT * FROM gateway.inbox LIMIT 1",
    ),
    plant(
        "I8",
        "taken_in_from_nowhere",
        "an inbox row of no event",
        f"INSERT INTO ledger.inbox SELECT '{NEW}', source, handled_at FROM ledger.inbox LIMIT 1",
    ),
    plant(
        "I8",
        "cursor_past_the_log",
        "a cursor moved ahead",
        "UPDATE bus.cursors SET position = 1000000 WHERE consumer_group = 'fraud'",
    ),
    plant(
        "I8",
        "parked_without_inbox",
        "an event parked that was not taken in",
        "INSERT INTO fraud.parked_keys VALUES ('fraud', 'pay_x', '2026-01-01')",
        "INSERT INTO fraud.dead_letters (consumer_group, key, parked_at, event_id, source, type, topic, shard, time,"
        " event_sequence, correlation_id, data) SELECT 'fraud', 'pay_x', '2026-01-01',"
        f" '{NEW}', 'rialto.gateway', 'rialto.payment.created.v1', 'rialto.payments.v1', 0, '2026-01-01', 1,"
        " 'x', '{}'",
    ),
    plant(
        "I8",
        "overtook_a_parked_event",
        "an event parked after later ones of its key were handled",
        f"INSERT INTO ledger.parked_keys SELECT 'ledger', {SETTLED_KEY}, '2026-01-01'",
        "INSERT INTO ledger.dead_letters (consumer_group, key, parked_at, event_id, source, type, topic, shard, time,"
        " event_sequence, correlation_id, data) SELECT 'ledger', key, '2026-01-01', event_id, source, type, topic,"
        f" shard, time, sequence, correlation_id, data FROM bus.log WHERE {event('payment.approved')}",
    ),
    plant("I8", "entry_not_told_once", "an entry that no event told", *copy_entry(DEPOSIT, NEW)),
    plant(
        "I8",
        "entry_not_told_once",
        "both sides of an entry changed",
        f"UPDATE ledger.postings SET amount_minor = amount_minor + 1 WHERE entry_id = {CAPTURE}",
    ),
    plant("I8", "hold_not_told_once", "a hold deleted", f"DELETE FROM ledger.holds WHERE payment_id = {SETTLED}"),
    plant(
        "I8",
        "hold_not_told_once",
        "a hold that no event told",
        copy("ledger.holds", {"id": f"'{NEW}'"}, f"t.payment_id = {SETTLED}"),
    ),
    plant(
        "I8",
        "request_without_effect",
        "a hold put back to what it was before it was raised",
        f"UPDATE ledger.holds SET amount_minor = amount_minor - increased_minor, increased_minor = 0"
        f" WHERE payment_id = {HELD}",
    ),
    plant(
        "I8",
        "increase_not_told",
        "the event of a hold's increase deleted",
        "DELETE FROM bus.log WHERE type = 'rialto.hold.increased.v1'",
    ),
    plant(
        "I8",
        "capture_not_told_once",
        "an event of another amount than was booked",
        f'UPDATE bus.log SET data = replace(data::TEXT, \'"amount_minor":"1000"\', \'"amount_minor":"1"\')::JSON'
        f" WHERE {event('hold.captured')}",
    ),
    plant(
        "I8",
        "release_not_told",
        "a hold voided by hand",
        f"UPDATE ledger.holds SET status = 'voided', closed_at = placed_at, released_minor = amount_minor"
        f" WHERE payment_id = {HELD}",
    ),
    plant(
        "I8",
        "verdict_without_effect",
        "a verdict deleted",
        f"DELETE FROM fraud.assessments WHERE payment_id = {SETTLED}",
    ),
    plant(
        "I8",
        "verdict_without_effect",
        "a verdict changed after it was told",
        f"UPDATE compliance.screenings SET outcome = 'block' WHERE payment_id = {SETTLED}",
    ),
    plant(
        "I8",
        "request_without_effect",
        "a request whose effect is gone",
        f"DELETE FROM chain_bridge.intents WHERE payment_id = {SETTLED}",
    ),
    plant(
        "I8",
        "request_without_effect",
        "a hold that was asked for and is gone",
        f"DELETE FROM ledger.holds WHERE payment_id = {SETTLED}",
    ),
    plant(
        "I8",
        "effect_without_request",
        "a hold that nobody asked for",
        copy("ledger.holds", {"id": f"'{NEW}'", "payment_id": f"'{NEW}'"}, f"t.payment_id = {SETTLED}"),
    ),
    plant(
        "I8",
        "gateway_applied_twice",
        "a fact applied twice",
        copy("gateway.timeline", {"nth": "t.nth + 1000"}, f"t.event = 'hold.captured' AND t.payment_id = {SETTLED}"),
    ),
    plant(
        "I8",
        "gateway_applied_unread",
        "a fact applied that was not taken in",
        "DELETE FROM gateway.inbox WHERE event_id IN (SELECT cause::UUID FROM gateway.timeline"
        f" WHERE event = 'hold.captured' AND payment_id = {SETTLED})",
    ),
    plant(
        "I8",
        "gateway_missed_a_fact",
        "a fact taken in and not applied",
        f"DELETE FROM gateway.timeline WHERE event = 'hold.captured' AND payment_id = {SETTLED}",
    ),
    plant(
        "I8",
        "confirmation_not_told",
        "a confirmation that was not told",
        f"DELETE FROM bus.log WHERE {event('settlement.confirmed')}",
    ),
)
ALL = I1 + I2 + I3 + I4 + I5 + I6 + I7 + I7_OF_REFUNDS + I8
