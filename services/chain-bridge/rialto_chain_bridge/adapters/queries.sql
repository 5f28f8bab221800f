-- name: deployment
-- The contracts in use on a chain.
SELECT chain_id, operator_address, token, token_decimals, token_address, settlement_address, mode, treasury_amount,
    deposit_id, created_at
FROM chain_bridge.deployments WHERE chain_id = $1;

-- name: save_deployment
-- Record the contracts, once a chain.
INSERT INTO chain_bridge.deployments (
    chain_id, operator_address, token, token_decimals, token_address, settlement_address, mode, treasury_amount,
    deposit_id, created_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8::TEXT::NUMERIC, $9, $10)
ON CONFLICT ON CONSTRAINT deployments_pk DO NOTHING
RETURNING chain_id;

-- name: save_intents
-- Record requests, one a payment; returns the payments that had none.
INSERT INTO chain_bridge.intents (
    payment_id, settlement_id, merchant_id, mode, shard, chain_id, amount_minor, currency, payee_address, token_amount,
    next_attempt_at, deadline_at, failure_code, failure_detail, cause_id, traceparent, requested_at
)
SELECT
    i.payment_id, i.settlement_id, i.merchant_id, i.mode, i.shard, $1, i.amount_minor::NUMERIC, i.currency,
    i.payee_address, i.token_amount::NUMERIC, i.requested_at, i.deadline_at, i.failure_code, i.failure_detail, i.cause_id,
    i.traceparent, i.requested_at
FROM unnest(
    $2::UUID[], $3::UUID[], $4::UUID[], $5::TEXT[], $6::SMALLINT[], $7::TEXT[], $8::TEXT[], $9::TEXT[], $10::TEXT[],
    $11::TIMESTAMPTZ[], $12::TEXT[], $13::TEXT[], $14::UUID[], $15::TEXT[], $16::TIMESTAMPTZ[]
) AS i (
    payment_id, settlement_id, merchant_id, mode, shard, amount_minor, currency, payee_address, token_amount,
    deadline_at, failure_code, failure_detail, cause_id, traceparent, requested_at
)
ORDER BY i.payment_id
ON CONFLICT ON CONSTRAINT intents_pk DO NOTHING
RETURNING payment_id;

-- name: intent_contents
-- What was asked for before.
SELECT payment_id, settlement_id, merchant_id, mode, amount_minor, currency, payee_address
FROM chain_bridge.intents WHERE payment_id = ANY ($1::UUID[]);

-- name: waiting
-- Settlements that are due for a batch at $2, the longest waiting first; one put off beyond $4 was so by a wrong clock.
SELECT payment_id, payee_address, token_amount, submissions, next_attempt_at
FROM chain_bridge.intents
WHERE chain_id = $1 AND transaction_id IS NULL AND failure_code IS NULL
    AND (next_attempt_at <= $2 OR next_attempt_at > $4)
ORDER BY next_attempt_at, payment_id
LIMIT $3;

-- name: add_sender
-- Note a sender at its first use.
INSERT INTO chain_bridge.senders (chain_id, address, next_nonce) VALUES ($1, $2, $3)
ON CONFLICT ON CONSTRAINT senders_pk DO NOTHING;

-- name: lock_sender
-- The sender's next nonce; the lock makes signing workers take turns.
SELECT next_nonce FROM chain_bridge.senders WHERE chain_id = $1 AND address = $2 FOR UPDATE;

-- name: move_nonce
-- Move the sender's nonce on.
UPDATE chain_bridge.senders SET next_nonce = $3 WHERE chain_id = $1 AND address = $2;

-- name: skip_nonces
-- Never sign with a nonce that others have used.
UPDATE chain_bridge.senders SET next_nonce = greatest(next_nonce, $3) WHERE chain_id = $1 AND address = $2;

-- name: under_way
-- How many transactions are in no block yet.
SELECT count(*) FROM chain_bridge.transactions WHERE chain_id = $1 AND sender = $2 AND state = 'pending';

-- name: save_transaction
-- Record a signed transaction, before it is sent.
INSERT INTO chain_bridge.transactions (
    id, chain_id, sender, nonce, kind, tx_hash, raw, payment_ids, next_attempt_at, deadline_at, recorded_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $9);

-- name: assign
-- Put settlements into their transaction.
UPDATE chain_bridge.intents
SET transaction_id = $1, submissions = submissions + 1
WHERE payment_id = ANY ($2::UUID[]) AND transaction_id IS NULL AND failure_code IS NULL;

-- name: due
-- Transactions to hand to the node at $3, in nonce order; one put off beyond $5 was so by a wrong clock.
SELECT id, raw, attempts
FROM chain_bridge.transactions
WHERE chain_id = $1 AND sender = $2 AND state = 'pending'
    AND (next_attempt_at <= $3 OR next_attempt_at > $5)
ORDER BY nonce
LIMIT $4;

-- name: hurry
-- The node may have forgotten what waited in its pool: hand it all over again.
UPDATE chain_bridge.transactions SET next_attempt_at = $3
WHERE chain_id = $1 AND sender = $2 AND state = 'pending' AND next_attempt_at > $3;

-- name: record_attempts
-- Record sendings' outcomes; returns the transactions that were accepted for the first time.
WITH outcomes AS (
    SELECT o.id, o.attempt, o.error, o.next_attempt_at
    FROM unnest($1::UUID[], $2::TEXT[], $3::TEXT[], $4::TIMESTAMPTZ[]) AS o (id, attempt, error, next_attempt_at)
), before AS (
    SELECT t.id, t.submitted_at
    FROM chain_bridge.transactions AS t
    WHERE t.id = ANY ($1::UUID[]) AND t.state = 'pending'
    ORDER BY t.nonce
    FOR UPDATE
)
UPDATE chain_bridge.transactions AS t
SET attempt = o.attempt, attempts = t.attempts + 1, attempt_error = o.error, next_attempt_at = o.next_attempt_at,
    submitted_at = coalesce(t.submitted_at, CASE WHEN o.attempt = 'succeeded' THEN $5::TIMESTAMPTZ END)
FROM outcomes AS o
JOIN before AS b ON b.id = o.id
WHERE t.id = o.id
RETURNING t.id, t.nonce, t.kind, t.tx_hash, t.state, t.succeeded, t.block_number, t.block_hash, t.gas_used,
    t.payment_ids, t.reorgs, b.submitted_at IS NOT NULL AS submitted, t.confirmed_at IS NOT NULL AS confirmed_before,
    o.attempt = 'succeeded' AS accepted;

-- name: tracked
-- Transactions under way, in nonce order.
SELECT id, nonce, kind, tx_hash, state, succeeded, block_number, block_hash, gas_used, payment_ids, reorgs,
    submitted_at IS NOT NULL AS submitted, confirmed_at IS NOT NULL AS confirmed_before
FROM chain_bridge.transactions
WHERE chain_id = $1 AND sender = $2 AND state IN ('pending', 'mined')
ORDER BY nonce
LIMIT $3;

-- name: newest_final
-- The newest final transactions, the newest first.
SELECT id, nonce, kind, tx_hash, state, succeeded, block_number, block_hash, gas_used, payment_ids, reorgs,
    submitted_at IS NOT NULL AS submitted, confirmed_at IS NOT NULL AS confirmed_before
FROM chain_bridge.transactions
WHERE chain_id = $1 AND sender = $2 AND state IN ('confirmed', 'reverted')
ORDER BY nonce DESC
LIMIT $3;

-- name: record_standings
-- Record where transactions stand; skips those that another worker has moved meanwhile. Returns what was known of each
-- under its lock: another worker may have told of its submission since it was read.
WITH standings AS (
    SELECT s.*
    FROM unnest(
        $1::UUID[], $2::TEXT[], $3::TEXT[], $4::INT[], $5::TEXT[], $6::BOOLEAN[], $7::BIGINT[], $8::TEXT[],
        $9::BIGINT[], $10::INT[]
    ) AS s (id, old_state, old_block_hash, old_reorgs, state, succeeded, block_number, block_hash, gas_used, reorgs)
), before AS (
    SELECT t.id, t.submitted_at, t.confirmed_at
    FROM chain_bridge.transactions AS t
    WHERE t.id = ANY ($1::UUID[])
    ORDER BY t.nonce
    FOR UPDATE
)
UPDATE chain_bridge.transactions AS t
SET state = s.state, succeeded = s.succeeded, block_number = s.block_number, block_hash = s.block_hash,
    gas_used = s.gas_used, reorgs = s.reorgs,
    next_attempt_at = CASE WHEN s.state = 'pending' THEN $11::TIMESTAMPTZ END,
    submitted_at = coalesce(t.submitted_at, CASE WHEN s.state NOT IN ('pending', 'replaced') THEN $11::TIMESTAMPTZ END),
    confirmed_at = CASE WHEN s.state IN ('confirmed', 'reverted') THEN $11::TIMESTAMPTZ ELSE t.confirmed_at END
FROM standings AS s
JOIN before AS b ON b.id = s.id
WHERE t.id = s.id AND t.state = s.old_state AND t.block_hash IS NOT DISTINCT FROM s.old_block_hash
    AND t.reorgs = s.old_reorgs
RETURNING t.id, b.submitted_at IS NOT NULL AS submitted, b.confirmed_at IS NOT NULL AS confirmed_before;

-- name: assigned
-- The settlements in these transactions.
SELECT payment_id, transaction_id, settlement_id, merchant_id, mode, shard, amount_minor, currency, payee_address,
    token_amount, submissions, deadline_at, cause_id, traceparent
FROM chain_bridge.intents
WHERE payment_id = ANY ($1::UUID[]) AND transaction_id = ANY ($2::UUID[])
ORDER BY payment_id;

-- name: send_again
-- Take settlements out of their transaction, to wait for another one.
UPDATE chain_bridge.intents AS i
SET transaction_id = NULL, next_attempt_at = s.due_at
FROM unnest($1::UUID[], $2::TIMESTAMPTZ[]) AS s (payment_id, due_at)
WHERE i.payment_id = s.payment_id;

-- name: fail
-- Take settlements out of their transaction and give them up.
UPDATE chain_bridge.intents AS i
SET transaction_id = NULL, failure_code = f.code, failure_detail = f.detail
FROM unnest($1::UUID[], $2::TEXT[], $3::TEXT[]) AS f (payment_id, code, detail)
WHERE i.payment_id = f.payment_id;

-- name: settlement
-- One settlement with its transaction.
SELECT payment_id, settlement_id, merchant_id, mode, amount_minor, currency, payee_address, token_amount, state,
    failure_code, failure_detail, chain_id, batch_id, tx_hash, block_number, block_hash, reorgs, requested_at,
    submitted_at, confirmed_at, next_attempt_at, deadline_at
FROM chain_bridge.settlements WHERE payment_id = $1;

-- name: overview
-- What is under way and what is late, for the metrics.
SELECT
    (SELECT count(*) FROM chain_bridge.intents
    WHERE chain_id = $1 AND transaction_id IS NULL AND failure_code IS NULL) AS waiting,
    (SELECT count(*) FROM chain_bridge.transactions
    WHERE chain_id = $1 AND sender = $2 AND state = 'pending') AS pending,
    (SELECT count(*) FROM chain_bridge.transactions
    WHERE chain_id = $1 AND sender = $2 AND state = 'pending' AND attempt = 'unknown') AS unknown,
    (SELECT count(*) FROM chain_bridge.transactions
    WHERE chain_id = $1 AND sender = $2 AND state IN ('pending', 'mined') AND deadline_at < $3) AS overdue;

-- name: settled_by_day
-- What was settled for each merchant on a day and stands: by when it was confirmed, the time that settlement.confirmed
-- carries, and that the ledger books it with. What the chain took back counts again on the day it is confirmed anew.
SELECT i.merchant_id, i.mode, i.currency, 'settled' AS kind, sum(i.amount_minor) AS amount_minor, count(*) AS count
FROM chain_bridge.transactions AS t
CROSS JOIN unnest(t.payment_ids) AS paid (payment_id)
JOIN chain_bridge.intents AS i ON i.payment_id = paid.payment_id AND i.transaction_id = t.id
WHERE t.kind = 'settle' AND t.state = 'confirmed' AND t.confirmed_at >= $1 AND t.confirmed_at < $2
GROUP BY i.merchant_id, i.mode, i.currency;
