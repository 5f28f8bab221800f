-- name: captures
-- The captures of some payments, each payment's in the order of their ordinals.
SELECT payment_id, capture_id, ordinal, amount_minor, final, state, failure_code, created_at, updated_at
FROM gateway.captures WHERE payment_id = ANY ($1) ORDER BY payment_id, ordinal

-- name: timeline
-- The timelines of some payments, each oldest first.
SELECT payment_id, at, state, event, cause, actor, detail
FROM gateway.timeline WHERE payment_id = ANY ($1) ORDER BY payment_id, nth

-- name: refunds
-- The refunds of some payments, each payment's in the order in which they were asked for.
SELECT * FROM gateway.refunds WHERE payment_id = ANY ($1) ORDER BY payment_id, ordinal

-- name: disputes
-- The disputes of some payments, each payment's newest first.
SELECT * FROM gateway.disputes
WHERE payment_id = ANY ($1) AND merchant_id = $2 AND mode = $3
ORDER BY payment_id, created_at DESC, dispute_id DESC

-- name: payouts
-- Payouts of a merchant.
SELECT * FROM gateway.payouts WHERE payout_id = ANY ($1) AND merchant_id = $2 AND mode = $3
