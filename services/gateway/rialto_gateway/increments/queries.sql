-- name: record
-- Increments that were asked for.
INSERT INTO gateway.increments (
    increment_id, payment_id, ordinal, amount_before_minor, amount_minor, state, created_at, updated_at
)
SELECT i.increment_id, i.payment_id, i.ordinal, i.amount_before_minor, i.amount_minor, 'pending', $1, $1
FROM unnest($2::UUID[], $3::UUID[], $4::INT[], $5::NUMERIC[], $6::NUMERIC[])
AS i (payment_id, increment_id, ordinal, amount_before_minor, amount_minor)

-- name: resolve
-- What became of increments.
UPDATE gateway.increments AS g SET state = i.state, failure_code = i.failure_code, updated_at = $1
FROM unnest($2::UUID[], $3::TEXT[], $4::TEXT[]) AS i (increment_id, state, failure_code)
WHERE g.increment_id = i.increment_id

-- name: by_key
-- The increment asked for before under an idempotency key.
SELECT request_hash FROM gateway.increments WHERE payment_id = $1 AND idempotency_key = $2

-- name: name
-- Remember under which idempotency key an increment was asked for.
UPDATE gateway.increments SET idempotency_key = $2, request_hash = $3 WHERE increment_id = $1
