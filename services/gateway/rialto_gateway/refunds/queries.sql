-- name: record
-- Refunds that were asked for.
INSERT INTO gateway.refunds (
    refund_id, payment_id, merchant_id, mode, currency, ordinal, amount_minor, reason, metadata, state, created_at,
    updated_at
)
SELECT
    r.refund_id, p.payment_id, p.merchant_id, p.mode, p.currency, r.ordinal, r.amount_minor, r.reason, r.metadata::JSON,
    'pending', $1, $1
FROM unnest($2::UUID[], $3::UUID[], $4::INT[], $5::NUMERIC[], $6::TEXT[], $7::TEXT[])
AS r (payment_id, refund_id, ordinal, amount_minor, reason, metadata)
JOIN gateway.payments AS p ON p.payment_id = r.payment_id

-- name: resolve
-- What became of refunds.
UPDATE gateway.refunds AS g SET state = r.state, failure_code = r.failure_code, updated_at = $1
FROM unnest($2::UUID[], $3::TEXT[], $4::TEXT[]) AS r (refund_id, state, failure_code)
WHERE g.refund_id = r.refund_id

-- name: by_key
-- The refund made before under an idempotency key.
SELECT refund_id, request_hash FROM gateway.refunds WHERE payment_id = $1 AND idempotency_key = $2

-- name: name
-- Remember under which idempotency key a refund was asked for.
UPDATE gateway.refunds SET idempotency_key = $2, request_hash = $3 WHERE refund_id = $1

-- name: get
-- One refund; $2 and $3 null for the operator.
SELECT * FROM gateway.refunds
WHERE refund_id = $1 AND (merchant_id = $2 OR $2 IS NULL) AND (mode = $3 OR $3 IS NULL)

-- name: of_payment
-- A payment's refunds.
SELECT * FROM gateway.refunds WHERE payment_id = $1 ORDER BY ordinal

-- name: answered
-- Which of these refunds are no longer pending.
SELECT refund_id FROM gateway.refunds WHERE refund_id = ANY ($1) AND state <> 'pending'
