-- name: settings
-- A merchant's terms.
SELECT * FROM gateway.payout_settings WHERE merchant_id = $1 AND mode = $2

-- name: lock_settings
-- A merchant's terms, kept to this transaction: who holds them makes the next payout.
SELECT * FROM gateway.payout_settings WHERE merchant_id = $1 AND mode = $2 FOR UPDATE

-- name: save_settings
-- Terms, for the first time or anew.
INSERT INTO gateway.payout_settings AS s (
    merchant_id, mode, schedule, cut_off_hour, next_at, payouts, updated_at, reserve_bps, reserve_days
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT ON CONSTRAINT payout_settings_pk DO UPDATE
SET schedule = excluded.schedule, cut_off_hour = excluded.cut_off_hour, next_at = excluded.next_at,
    payouts = excluded.payouts, updated_at = excluded.updated_at, reserve_bps = excluded.reserve_bps,
    reserve_days = excluded.reserve_days

-- name: hold_back
-- More that is held back of a day's captures.
INSERT INTO gateway.held_back AS h (merchant_id, mode, currency, day, amount_minor)
SELECT s.merchant_id, s.mode, s.currency, $1, sum(s.amount_minor)
FROM unnest($2::UUID[], $3::TEXT[], $4::TEXT[], $5::NUMERIC[]) AS s (merchant_id, mode, currency, amount_minor)
GROUP BY s.merchant_id, s.mode, s.currency ORDER BY s.merchant_id, s.mode, s.currency
ON CONFLICT ON CONSTRAINT held_back_pk DO UPDATE SET amount_minor = h.amount_minor + excluded.amount_minor

-- name: held
-- What of a merchant's captures since a day is held back, a currency each.
SELECT currency, sum(amount_minor) AS amount_minor FROM gateway.held_back
WHERE merchant_id = $1 AND mode = $2 AND day >= $3 AND (currency = $4 OR $4 IS NULL) GROUP BY currency

-- name: due
-- Terms whose next look is due.
SELECT * FROM gateway.payout_settings WHERE next_at <= $1 ORDER BY next_at LIMIT $2

-- name: currencies
-- In which currencies payments of a merchant wait.
SELECT DISTINCT currency FROM gateway.payables WHERE merchant_id = $1 AND mode = $2 AND waiting ORDER BY currency

-- name: waiting
-- Payments that wait for a payout, the oldest first.
SELECT payment_id, amount_minor FROM gateway.payables
WHERE merchant_id = $1 AND mode = $2 AND currency = $3 AND waiting ORDER BY payment_id LIMIT $4

-- name: pending
-- What of a merchant's money is captured and neither waits nor is paid.
SELECT coalesce(sum(amount_minor), 0) FROM gateway.payables
WHERE merchant_id = $1 AND mode = $2 AND currency = $3 AND NOT waiting

-- name: by_key
-- The payout made before under an idempotency key.
SELECT payout_id, request_hash FROM gateway.payouts WHERE merchant_id = $1 AND mode = $2 AND idempotency_key = $3

-- name: add
-- A new payout.
INSERT INTO gateway.payouts (
    payout_id, merchant_id, mode, currency, amount_minor, payments, asked_by, state, sequence, deadline_at,
    idempotency_key, request_hash, created_at, updated_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending', $8, $9, $10, $11, $12, $12)

-- name: add_payments
-- The payments that it pays.
INSERT INTO gateway.payout_payments (payout_id, payment_id, amount_minor, state)
SELECT $1, p.payment_id, p.amount_minor, 'pending'
FROM unnest($2::UUID[], $3::NUMERIC[]) AS p (payment_id, amount_minor)

-- name: lock
-- Payouts, locked in id order.
SELECT * FROM gateway.payouts WHERE payout_id = ANY ($1) ORDER BY payout_id FOR UPDATE

-- name: move
-- How payments of payouts stand now.
UPDATE gateway.payout_payments AS p SET state = n.state, code = n.code
FROM unnest($1::UUID[], $2::UUID[], $3::TEXT[], $4::TEXT[]) AS n (payout_id, payment_id, state, code)
WHERE p.payout_id = n.payout_id AND p.payment_id = n.payment_id

-- name: count
-- How many payments of each payout stand how, and why the first of those that failed did.
SELECT
    payout_id, count(*) FILTER (WHERE state = 'in_transit') AS in_transit, count(*) FILTER (WHERE state = 'paid') AS paid,
    count(*) FILTER (WHERE state = 'failed') AS failed, min(code) AS code
FROM gateway.payout_payments WHERE payout_id = ANY ($1) GROUP BY payout_id

-- name: save
-- Payouts as their payments have them.
UPDATE gateway.payouts AS p
SET in_transit = n.in_transit, paid = n.paid, failed = n.failed, state = n.state, failure_code = n.failure_code,
    sequence = n.sequence, deadline_at = n.deadline_at, updated_at = $1
FROM unnest(
    $2::UUID[], $3::INT[], $4::INT[], $5::INT[], $6::TEXT[], $7::TEXT[], $8::BIGINT[], $9::TIMESTAMPTZ[]
) AS n (payout_id, in_transit, paid, failed, state, failure_code, sequence, deadline_at)
WHERE p.payout_id = n.payout_id

-- name: overdue
-- Payouts whose deadline has passed.
SELECT payout_id FROM gateway.payouts WHERE deadline_at <= $1 ORDER BY deadline_at LIMIT $2

-- name: get
-- One payout of a merchant.
SELECT * FROM gateway.payouts WHERE payout_id = $1 AND merchant_id = $2 AND mode = $3

-- name: page
-- A merchant's payouts, the newest first, from a place on.
SELECT * FROM gateway.payouts
WHERE merchant_id = $1 AND mode = $2 AND (created_at, payout_id) < ($3, $4) AND (state = $5 OR $5 IS NULL)
ORDER BY created_at DESC, payout_id DESC LIMIT $6

-- name: payments
-- The payments of a payout after one, in id order.
SELECT payment_id, amount_minor, state, code FROM gateway.payout_payments
WHERE payout_id = $1 AND payment_id > $2 ORDER BY payment_id LIMIT $3
