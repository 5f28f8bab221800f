-- name: lock_accounts
-- The accounts asked for, those of the holds $2, those of the standing settlement entries of payments $3 and those of the
-- entries $4, locked in id order. Under these locks nothing else that the batch reads can change. By arrays and not by
-- joins, so that the plan is an index scan also before there are statistics. Beside each, from which id on the journal is
-- not archived, and which of the entries $5 (from the lowest, $6, to the highest, $7) are in it.
SELECT
    id, code, type, currency, merchant_id, mode, shard, status, minimum_available_minor::TEXT,
    maximum_balance_minor::TEXT, owner, identifier, metadata, debits_minor::TEXT, credits_minor::TEXT, held_minor::TEXT,
    version, (SELECT ids_before FROM ledger.archived_months ORDER BY month DESC LIMIT 1) AS ids_from,
    ARRAY(SELECT id FROM ledger.journal_entries WHERE id = ANY ($5::UUID[]) AND id BETWEEN $6 AND $7) AS posted
FROM ledger.accounts
WHERE id = ANY (ARRAY(
    SELECT unnest($1::UUID[])
    UNION
    SELECT account_id FROM ledger.holds WHERE id = ANY ($2::UUID[])
    UNION
    SELECT account_id FROM ledger.postings
    WHERE entry_id = ANY (ARRAY(
        SELECT entry_id FROM ledger.settlements WHERE payment_id = ANY ($3::UUID[]) UNION ALL SELECT unnest($4::UUID[])
    ))
))
ORDER BY id
FOR UPDATE

-- name: accounts
-- Accounts as they are committed, not locked.
SELECT
    id, code, type, currency, merchant_id, mode, shard, status, minimum_available_minor::TEXT,
    maximum_balance_minor::TEXT, owner, identifier, metadata, debits_minor::TEXT, credits_minor::TEXT, held_minor::TEXT,
    version
FROM ledger.accounts WHERE id = ANY (ARRAY(SELECT unnest($1::UUID[])))

-- name: add_entries_as_known
-- Lock what a batch was decided on, add its entries if all is as known ($1 to $8), and return whether it stands, and the
-- ends of the chains, one a row.
SELECT stands, head_shard, head_position, head_hash FROM ledger.add_entries_as_known(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25,
    $26, $27, $28, $29, $30, $31, $32, $33
)

-- name: lock_late_accounts
-- Accounts that were not there when the others were locked: opened here, or by another transaction meanwhile. Never
-- waits: that one may hold them and wait for what is locked here. Whoever is refused tries again, and finds all in order.
SELECT
    id, code, type, currency, merchant_id, mode, shard, status, minimum_available_minor::TEXT,
    maximum_balance_minor::TEXT, owner, identifier, metadata, debits_minor::TEXT, credits_minor::TEXT, held_minor::TEXT,
    version, (SELECT ids_before FROM ledger.archived_months ORDER BY month DESC LIMIT 1) AS ids_from
FROM ledger.accounts
WHERE id = ANY ($1::UUID[])
ORDER BY id
FOR UPDATE NOWAIT

-- name: open_accounts
-- Open accounts that are not there yet, in id order; one that another transaction opened meanwhile is left as it is.
INSERT INTO ledger.accounts (
    id, code, type, normal_side, currency, merchant_id, mode, shard, minimum_available_minor, maximum_balance_minor,
    owner, identifier, metadata, opened_at
)
SELECT
    n.id, n.code, n.type, n.normal_side, n.currency, n.merchant_id, n.mode, n.shard, n.minimum::NUMERIC,
    n.maximum::NUMERIC, n.owner, n.identifier, n.metadata::JSONB, $14
FROM unnest(
    $1::UUID[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::UUID[], $7::TEXT[], $8::SMALLINT[], $9::TEXT[],
    $10::TEXT[], $11::TEXT[], $12::TEXT[], $13::TEXT[]
) AS n (
    id, code, type, normal_side, currency, merchant_id, mode, shard, minimum, maximum, owner, identifier, metadata
)
ORDER BY n.id
ON CONFLICT DO NOTHING
RETURNING id

-- name: holds
-- Holds by id.
SELECT
    id, payment_id, account_id, merchant_id, mode, shard, currency, amount_minor, captured_minor, released_minor,
    status, refusal_code, placed_at, expires_at, closed_at, version, increased_minor
FROM ledger.holds WHERE id = ANY ($1::UUID[])

-- name: settlements
-- The latest settlement of each payment.
SELECT payment_id, settlement_id, ordinal, status, entry_id, sequence
FROM ledger.settlements WHERE payment_id = ANY ($1::UUID[])

-- name: entries
-- Entries by id, from the lowest ($2) to the highest ($3), each with its postings in order. Within these other months are
-- not looked at.
SELECT
    e.id, e.kind, e.mode, e.shard, e.merchant_id, e.payment_id, e.reverses, e.effective_at, e.recorded_at, e.metadata,
    p.account_id, p.side, p.amount_minor, p.currency
FROM ledger.journal_entries AS e
CROSS JOIN LATERAL (
    SELECT account_id, side, amount_minor, currency FROM ledger.postings WHERE entry_id = e.id ORDER BY line
) AS p
WHERE e.id = ANY ($1::UUID[]) AND e.id BETWEEN $2 AND $3

-- name: add_entries
-- Append entries and their postings, move the chains' ends and change the accounts' totals, each once.
SELECT ledger.add_entries(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25
)

-- name: lock_heads
-- The ends of these shards' chains, locked in the order of shards.
SELECT shard, position, hash FROM ledger.chain_heads WHERE shard = ANY ($1::SMALLINT[]) ORDER BY shard FOR UPDATE

-- name: change_statuses
-- Account statuses that a batch changes, each change with its reason.
WITH changes AS (
    SELECT c.account_id, c.status, c.reason, c.nth
    FROM unnest($1::UUID[], $2::TEXT[], $3::TEXT[]) WITH ORDINALITY AS c (account_id, status, reason, nth)
), told AS (
    INSERT INTO ledger.account_status_changes (account_id, status, reason, changed_at)
    SELECT account_id, status, reason, $4 FROM changes ORDER BY nth
)
UPDATE ledger.accounts AS a SET status = c.status, version = a.version + 1
FROM (SELECT DISTINCT ON (account_id) account_id, status FROM changes ORDER BY account_id, nth DESC) AS c
WHERE a.id = c.account_id

-- name: add_holds
-- Holds that were not there, in whatever state this batch leaves them.
INSERT INTO ledger.holds (
    id, payment_id, account_id, merchant_id, mode, shard, currency, amount_minor, captured_minor, released_minor,
    status, refusal_code, placed_at, expires_at, closed_at, version, increased_minor
)
SELECT
    h.id, h.payment_id, h.account_id, h.merchant_id, h.mode, h.shard, h.currency, h.amount::NUMERIC,
    h.captured::NUMERIC, h.released::NUMERIC, h.status, h.refusal_code, h.placed_at, h.expires_at, h.closed_at,
    h.version, h.increased::NUMERIC
FROM unnest(
    $1::UUID[], $2::UUID[], $3::UUID[], $4::UUID[], $5::TEXT[], $6::SMALLINT[], $7::TEXT[], $8::TEXT[], $9::TEXT[],
    $10::TEXT[], $11::TEXT[], $12::TEXT[], $13::TIMESTAMPTZ[], $14::TIMESTAMPTZ[], $15::TIMESTAMPTZ[], $16::INT[],
    $17::TEXT[]
) AS h (
    id, payment_id, account_id, merchant_id, mode, shard, currency, amount, captured, released, status, refusal_code,
    placed_at, expires_at, closed_at, version, increased
)

-- name: change_holds
-- What became of holds that were there.
UPDATE ledger.holds AS h
SET amount_minor = n.amount::NUMERIC,
    increased_minor = n.increased::NUMERIC,
    captured_minor = n.captured::NUMERIC,
    released_minor = n.released::NUMERIC,
    status = n.status,
    expires_at = n.expires_at,
    closed_at = n.closed_at,
    version = n.version
FROM unnest(
    $1::UUID[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::TIMESTAMPTZ[], $6::TIMESTAMPTZ[], $7::INT[], $8::TEXT[],
    $9::TEXT[]
) AS n (id, captured, released, status, expires_at, closed_at, version, amount, increased)
WHERE h.id = n.id

-- name: keep_settlements
-- The latest settlement of each payment, new or changed.
INSERT INTO ledger.settlements (payment_id, settlement_id, ordinal, status, entry_id, sequence)
SELECT s.payment_id, s.settlement_id, s.ordinal, s.status, s.entry_id, s.sequence
FROM unnest($1::UUID[], $2::UUID[], $3::INT[], $4::TEXT[], $5::UUID[], $6::BIGINT[])
AS s (payment_id, settlement_id, ordinal, status, entry_id, sequence)
ON CONFLICT ON CONSTRAINT settlements_pk DO UPDATE
SET ordinal = excluded.ordinal, status = excluded.status, entry_id = excluded.entry_id, sequence = excluded.sequence

-- name: change_accounts
-- Add each account's changes to its totals, each account once. The second look at the ids keeps the plan an index scan:
-- by the join alone a batch of some size would read all accounts there are.
UPDATE ledger.accounts AS a
SET debits_minor = a.debits_minor + d.debits::NUMERIC,
    credits_minor = a.credits_minor + d.credits::NUMERIC,
    held_minor = a.held_minor + d.held::NUMERIC,
    version = a.version + 1
FROM unnest(
    $1::UUID[], bus.spread($2::TEXT[], cardinality($1)), bus.spread($3::TEXT[], cardinality($1)),
    bus.spread($4::TEXT[], cardinality($1))
) AS d (id, debits, credits, held)
WHERE a.id = d.id AND a.id = ANY (ARRAY(SELECT unnest($1::UUID[])))

-- name: due_holds
-- Holds past their deadline, the longest overdue first, on accounts that nobody is posting on just now; those accounts
-- are locked. Never waits, so it cannot deadlock with the posters, who lock accounts in id order.
SELECT h.id, h.payment_id, h.merchant_id, h.mode, h.shard
FROM ledger.holds AS h JOIN ledger.accounts AS a ON a.id = h.account_id
WHERE h.status = 'pending' AND h.expires_at <= $1
ORDER BY h.expires_at
LIMIT $2
FOR UPDATE OF a SKIP LOCKED

-- name: account
-- An account by id.
SELECT
    id, code, type, currency, merchant_id, mode, shard, status, minimum_available_minor, maximum_balance_minor, owner,
    identifier, metadata, debits_minor, credits_minor, held_minor, version
FROM ledger.account_balances WHERE id = $1

-- name: accounts_by_code
-- The accounts of a code, one a currency.
SELECT
    id, code, type, currency, merchant_id, mode, shard, status, minimum_available_minor, maximum_balance_minor, owner,
    identifier, metadata, debits_minor, credits_minor, held_minor, version
FROM ledger.account_balances WHERE code = $1 AND mode = $2 ORDER BY currency

-- name: account_codes
-- What accounts are called.
SELECT id, code FROM ledger.account_balances WHERE id = ANY ($1::UUID[])

-- name: entries_of_payment
-- The ids of a payment's entries, oldest first.
SELECT id FROM ledger.journal_entries WHERE payment_id = $1 ORDER BY recorded_at, id
