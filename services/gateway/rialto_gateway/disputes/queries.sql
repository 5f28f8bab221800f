-- name: add
-- A dispute that is heard of for the first time.
INSERT INTO gateway.disputes (
    dispute_id, payment_id, merchant_id, mode, currency, connector, reference, amount_minor, fee_minor, reason, state,
    asks, respond_by, opened_at, due_at, created_at, updated_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'needs_response', 0, $11, $12, $13, $14, $14)

-- name: lock
-- One dispute, locked; its payment is locked before.
SELECT * FROM gateway.disputes WHERE dispute_id = $1 FOR UPDATE

-- name: save
-- What has become of a dispute.
UPDATE gateway.disputes
SET state = $2, cause = $3, sending = $4, asks = $5, respond_by = $6, submitted_at = $7, closed_at = $8, due_at = $9,
    updated_at = $10
WHERE dispute_id = $1

-- name: keep_evidence
-- The merchant's evidence, sealed.
UPDATE gateway.disputes SET evidence = $2, evidence_at = $3, updated_at = $3 WHERE dispute_id = $1

-- name: find
-- One dispute of any merchant.
SELECT * FROM gateway.disputes WHERE dispute_id = $1

-- name: payer
-- Who paid, sealed.
SELECT payer FROM gateway.payments WHERE payment_id = $1

-- name: get
-- One dispute; $2 and $3 null for the operator.
SELECT * FROM gateway.disputes
WHERE dispute_id = $1 AND (merchant_id = $2 OR $2 IS NULL) AND (mode = $3 OR $3 IS NULL)

-- name: page
-- A merchant's disputes, the newest first, from a place on.
SELECT * FROM gateway.disputes
WHERE merchant_id = $1 AND mode = $2 AND (created_at, dispute_id) < ($3, $4) AND (state = $5 OR $5 IS NULL)
    AND (payment_id = $6 OR $6 IS NULL)
ORDER BY created_at DESC, dispute_id DESC LIMIT $7

-- name: claim
-- Take up to $3 due disputes until $2.
UPDATE gateway.disputes AS d SET due_at = $2
WHERE d.dispute_id IN (
    SELECT c.dispute_id FROM gateway.disputes AS c
    WHERE c.due_at <= $1 ORDER BY c.due_at LIMIT $3 FOR UPDATE SKIP LOCKED
)
RETURNING d.*
