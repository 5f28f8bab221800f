-- name: insert
-- Accept payments; those whose idempotency key is taken are left out of the answer. Each keeps the price that is in force:
-- the one that names most of its method and currency.
INSERT INTO gateway.payments (
    payment_id, merchant_id, mode, shard, idempotency_key, request_hash, amount_minor, currency, wallet_id,
    capture_method, terminal_id, description, metadata, payer, payee, payee_address, occurred_at, created_at, updated_at,
    state, deadline_at, traceparent, card, fee_bps, fee_fixed_minor
)
SELECT
    p.payment_id, p.merchant_id, p.mode, p.shard, p.idempotency_key, p.request_hash, p.amount_minor, p.currency,
    p.wallet_id, p.capture_method, p.terminal_id, p.description, p.metadata::JSON, p.payer::JSON, p.payee::JSON,
    p.payee_address, p.occurred_at, $1, $1, 'created', $2, p.traceparent, p.card::JSON,
    coalesce(r.bps, 0), coalesce(r.fixed_minor, 0)
FROM unnest(
    $3::UUID[], $4::UUID[], $5::TEXT[], $6::SMALLINT[], $7::TEXT[], $8::BYTEA[], $9::NUMERIC[], $10::TEXT[],
    $11::UUID[], $12::TEXT[], $13::TEXT[], $14::TEXT[], $15::TEXT[], $16::TEXT[], $17::TEXT[], $18::TEXT[],
    $19::TIMESTAMPTZ[], $20::TEXT[], $21::TEXT[]
) AS p (
    payment_id, merchant_id, mode, shard, idempotency_key, request_hash, amount_minor, currency, wallet_id,
    capture_method, terminal_id, description, metadata, payer, payee, payee_address, occurred_at, traceparent, card
)
LEFT JOIN LATERAL (
    SELECT q.bps, q.fixed_minor FROM gateway.prices AS q
    WHERE q.merchant_id = p.merchant_id AND q.mode = p.mode AND q.currency IN ('any', p.currency)
        AND q.method IN ('any', CASE WHEN p.wallet_id IS NULL THEN 'card' ELSE 'wallet' END)
    ORDER BY q.method = 'any', q.currency = 'any' LIMIT 1
) AS r ON TRUE
ON CONFLICT ON CONSTRAINT payments_idempotency DO NOTHING
RETURNING payment_id

-- name: by_idempotency_key
-- Payments accepted before under these keys.
SELECT payment_id, merchant_id, mode, idempotency_key, request_hash
FROM gateway.payments
WHERE (merchant_id, mode, idempotency_key) IN (
    SELECT k.merchant_id, k.mode, k.idempotency_key
    FROM unnest($1::UUID[], $2::TEXT[], $3::TEXT[]) AS k (merchant_id, mode, idempotency_key)
)

-- name: start_timeline
-- The first line of each new payment, and its deadline row.
WITH timed AS (
    INSERT INTO gateway.deadlines (payment_id, due_at) SELECT unnest($1::UUID[]), $3
)
INSERT INTO gateway.timeline (payment_id, nth, at, state, event, actor, detail)
SELECT p.payment_id, 1, $2, 'created', 'payment.created', 'merchant', p.detail::JSON
FROM unnest($1::UUID[], $4::TEXT[]) AS p (payment_id, detail)

-- name: lock
-- What the machine needs of some payments, locked in id order; the merchants' terms are as they are now.
SELECT p.payment_id, p.merchant_id, p.mode, p.shard, p.amount_minor, p.currency, p.wallet_id, p.capture_method,
    p.payee_address, p.state, p.reason, p.decline_code, p.fraud, p.compliance, p.amount_captured_minor,
    p.capture_pending_minor, p.captures, p.void_reason, p.asked, p.settlement, p.authorised_at, p.deadline_at, p.sequence,
    p.authorisations, p.voids, p.connector, p.acquirer_reference, p.next_action_url, p.amount_refunded_minor,
    p.refund_pending_minor, p.refunds, p.waits_for_payout, p.payout_id, p.amount_disputed_minor,
    p.fee_bps, p.fee_fixed_minor, p.fee_basis_minor, p.fee_pending_minor, p.fee_minor,
    p.increments, p.increment_to_minor, p.amount_assessed_minor,
    coalesce(s.schedule, 'immediate') AS payout_schedule, coalesce(s.reserve_bps, 0) AS reserve_bps
FROM gateway.payments AS p
LEFT JOIN gateway.payout_settings AS s ON s.merchant_id = p.merchant_id AND s.mode = p.mode
WHERE p.payment_id = ANY ($1) ORDER BY p.payment_id FOR UPDATE OF p

-- name: save
-- Write back what the machine made of them, and keep the deadline rows in step: gone for final payments, moved for others.
WITH n AS (
    SELECT * FROM unnest(
        $2::UUID[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::TEXT[], $8::NUMERIC[], $9::NUMERIC[], $10::INT[],
        $11::TEXT[], $12::INT[], $13::TEXT[], $14::TIMESTAMPTZ[], $15::TIMESTAMPTZ[], $16::BIGINT[]
    ) AS n (
        payment_id, state, reason, decline_code, fraud, compliance, captured, pending, captures, void_reason, asked,
        settlement, authorised_at, deadline_at, sequence
    )
), gone AS (
    DELETE FROM gateway.deadlines AS d USING n WHERE d.payment_id = n.payment_id AND n.deadline_at IS NULL
), moved AS (
    UPDATE gateway.deadlines AS d SET due_at = n.deadline_at
    FROM n WHERE d.payment_id = n.payment_id AND d.due_at <> n.deadline_at
)
UPDATE gateway.payments AS p
SET state = n.state, reason = n.reason, decline_code = n.decline_code, fraud = n.fraud, compliance = n.compliance,
    amount_captured_minor = n.captured, capture_pending_minor = n.pending, captures = n.captures,
    void_reason = n.void_reason, asked = n.asked, settlement = n.settlement::JSON, authorised_at = n.authorised_at,
    deadline_at = n.deadline_at, sequence = n.sequence, updated_at = $1
FROM n WHERE p.payment_id = n.payment_id

-- name: save_more
-- Write back what the machine made of payments by card, and of those that were refunded, raised or wait for a
-- payout.
UPDATE gateway.payments AS p
SET authorisations = n.authorisations, voids = n.voids, connector = n.connector,
    acquirer_reference = n.acquirer_reference, next_action_url = n.next_action_url,
    amount_refunded_minor = n.refunded, refund_pending_minor = n.refund_pending, refunds = n.refunds,
    waits_for_payout = n.waits_for_payout, payout_id = n.payout_id, amount_disputed_minor = n.disputed,
    amount_minor = n.amount, increments = n.increments, increment_to_minor = n.increment_to,
    amount_assessed_minor = n.assessed
FROM unnest(
    $1::UUID[], $2::INT[], $3::INT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::NUMERIC[], $8::NUMERIC[], $9::INT[],
    $10::BOOLEAN[], $11::UUID[], $12::NUMERIC[], $13::NUMERIC[], $14::INT[], $15::NUMERIC[], $16::NUMERIC[]
) AS n (
    payment_id, authorisations, voids, connector, acquirer_reference, next_action_url, refunded, refund_pending, refunds,
    waits_for_payout, payout_id, disputed, amount, increments, increment_to, assessed
)
WHERE p.payment_id = n.payment_id

-- name: save_fees
-- Write back what payments that have a price are charged.
UPDATE gateway.payments AS p
SET fee_basis_minor = n.basis, fee_pending_minor = n.pending, fee_minor = n.charged
FROM unnest($1::UUID[], $2::NUMERIC[], $3::NUMERIC[], $4::NUMERIC[]) AS n (payment_id, basis, pending, charged)
WHERE p.payment_id = n.payment_id

-- name: keep_payables
-- What is captured and not yet paid; `waiting` only where a merchant's schedule decides when it is.
INSERT INTO gateway.payables AS u (payment_id, merchant_id, mode, currency, amount_minor, waiting)
SELECT * FROM unnest($1::UUID[], $2::UUID[], $3::TEXT[], $4::TEXT[], $5::NUMERIC[], $6::BOOLEAN[])
ON CONFLICT ON CONSTRAINT payables_pk DO UPDATE SET amount_minor = excluded.amount_minor, waiting = excluded.waiting
WHERE (u.amount_minor, u.waiting) <> (excluded.amount_minor, excluded.waiting)

-- name: drop_payables
-- What has been paid.
DELETE FROM gateway.payables WHERE payment_id = ANY ($1)

-- name: add_timeline
-- One line a change.
INSERT INTO gateway.timeline (payment_id, nth, at, state, event, cause, actor, detail)
SELECT t.payment_id, t.nth, $1, t.state, t.event, t.cause, t.actor, t.detail::JSON
FROM unnest($2::UUID[], $3::BIGINT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::TEXT[], $8::TEXT[])
AS t (payment_id, nth, state, event, cause, actor, detail)

-- name: record_captures
-- A capture that was asked for, or what became of it.
INSERT INTO gateway.captures (
    capture_id, payment_id, ordinal, amount_minor, final, state, failure_code, created_at, updated_at
)
SELECT c.capture_id, c.payment_id, c.ordinal, c.amount_minor, c.final, c.state, c.failure_code, $1, $1
FROM unnest($2::UUID[], $3::UUID[], $4::INT[], $5::NUMERIC[], $6::BOOLEAN[], $7::TEXT[], $8::TEXT[])
AS c (capture_id, payment_id, ordinal, amount_minor, final, state, failure_code)
WHERE c.ordinal IS NOT NULL

-- name: resolve_captures
-- What became of captures.
UPDATE gateway.captures AS g SET state = c.state, failure_code = c.failure_code, updated_at = $1
FROM unnest($2::UUID[], $3::TEXT[], $4::TEXT[]) AS c (capture_id, state, failure_code)
WHERE g.capture_id = c.capture_id

-- name: capture_by_key
-- The capture made before under an idempotency key.
SELECT request_hash FROM gateway.captures WHERE payment_id = $1 AND idempotency_key = $2

-- name: name_capture
-- Remember under which idempotency key a payment's newest capture was asked for.
UPDATE gateway.captures SET idempotency_key = $2, request_hash = $3
WHERE payment_id = $1 AND ordinal = (SELECT max(ordinal) FROM gateway.captures WHERE payment_id = $1)

-- name: due
-- Payments whose deadline has passed.
SELECT payment_id FROM gateway.deadlines WHERE due_at <= $1 ORDER BY due_at LIMIT $2

-- name: unhandled
-- When a payment was accepted that is still as it came, long after; those are the ones that are due first.
SELECT p.created_at
FROM gateway.deadlines AS d JOIN gateway.payments AS p ON p.payment_id = d.payment_id
WHERE d.due_at <= $2 AND p.state = 'created' AND p.created_at <= $1
ORDER BY d.due_at LIMIT 1

-- name: postpone
-- Look at a payment again later; its deadline itself stays as it is.
UPDATE gateway.deadlines SET due_at = $2 WHERE payment_id = $1

-- name: get
-- One payment as the API shows it; $2 and $3 null for the operator.
SELECT * FROM gateway.payments
WHERE payment_id = $1 AND (merchant_id = $2 OR $2 IS NULL) AND (mode = $3 OR $3 IS NULL)

-- name: get_many
-- Payments by id.
SELECT * FROM gateway.payments WHERE payment_id = ANY ($1)

-- name: timeline
-- A payment's timeline.
SELECT at, state, event, cause, actor, detail FROM gateway.timeline WHERE payment_id = $1 ORDER BY nth

-- name: captures
-- A payment's captures.
SELECT capture_id, ordinal, amount_minor, final, state, failure_code, created_at, updated_at
FROM gateway.captures WHERE payment_id = $1 ORDER BY ordinal

-- name: increments
-- A payment's increments.
SELECT * FROM gateway.increments WHERE payment_id = $1 ORDER BY ordinal

-- name: list_of_merchant
-- Newest first, from a cursor on and down to an id.
SELECT * FROM gateway.payments
WHERE merchant_id = $1 AND mode = $2 AND payment_id < $3 AND (state = $4 OR $4 IS NULL)
    AND (payment_id >= $6 OR $6 IS NULL)
ORDER BY payment_id DESC LIMIT $5

-- name: floor_of_merchant
-- The id so many payments below a cursor, read off the index alone; none where there are fewer.
SELECT payment_id FROM gateway.payments
WHERE merchant_id = $1 AND mode = $2 AND payment_id < $3
ORDER BY payment_id DESC OFFSET $4 LIMIT 1

-- name: list_of_all
-- The operator's list, newest first, from a cursor on and down to an id.
SELECT * FROM gateway.payments
WHERE mode = $1 AND payment_id < $2 AND (state = $3 OR $3 IS NULL) AND (payment_id >= $5 OR $5 IS NULL)
ORDER BY payment_id DESC LIMIT $4

-- name: floor_of_all
-- The same as `floor_of_merchant` of all payments, in either mode.
SELECT payment_id FROM gateway.payments WHERE payment_id < $1 ORDER BY payment_id DESC OFFSET $2 LIMIT 1

-- name: changed_since
-- Payments that changed after a place in time, in the order of change.
SELECT t.at, t.payment_id
FROM gateway.timeline AS t
JOIN gateway.payments AS p ON p.payment_id = t.payment_id
WHERE (t.at, t.payment_id) > ($1, $2) AND p.mode = $3 AND (p.merchant_id = $4 OR $4 IS NULL)
ORDER BY t.at, t.payment_id LIMIT $5

-- name: decided
-- Which of these payments are no longer undecided.
SELECT payment_id FROM gateway.payments
WHERE payment_id = ANY ($1) AND state NOT IN ('created', 'approved', 'unknown')

-- name: answered
-- For which of these payments every increment, capture and void has been answered.
SELECT payment_id FROM gateway.payments
WHERE payment_id = ANY ($1) AND (
    state <> 'authorised' OR (capture_pending_minor = 0 AND void_reason IS NULL AND increment_to_minor IS NULL)
)

-- name: totals_by_day
-- What each merchant's captures and refunds of a day came to, by when they were asked for: the time that the request or
-- `requested_at` carries, and that the ledger books them with. Merchants whose captures all failed or wait are in it,
-- with nothing.
SELECT
    p.merchant_id, p.mode, p.currency, 'captured' AS kind,
    coalesce(sum(c.amount_minor) FILTER (WHERE c.state = 'succeeded'), 0) AS amount_minor,
    count(*) FILTER (WHERE c.state = 'succeeded') AS count
FROM gateway.captures AS c JOIN gateway.payments AS p ON p.payment_id = c.payment_id
WHERE c.created_at >= $1 AND c.created_at < $2
GROUP BY p.merchant_id, p.mode, p.currency
UNION ALL
SELECT
    r.merchant_id, r.mode, r.currency, 'refunded' AS kind,
    coalesce(sum(r.amount_minor) FILTER (WHERE r.state = 'succeeded'), 0) AS amount_minor,
    count(*) FILTER (WHERE r.state = 'succeeded') AS count
FROM gateway.refunds AS r
WHERE r.created_at >= $1 AND r.created_at < $2
GROUP BY r.merchant_id, r.mode, r.currency
