-- name: queue
-- Attempts to be sent at once, with what they share with their payments.
INSERT INTO gateway.attempts (
    attempt_id, payment_id, merchant_id, mode, currency, step, ordinal, subject_id, connector, acquirer_authorisation,
    amount_minor, final, state, asked_at, created_at, due_at
)
SELECT
    a.attempt_id, p.payment_id, p.merchant_id, p.mode, p.currency, a.step, a.ordinal, a.subject_id, a.connector,
    a.acquirer_authorisation, a.amount_minor, a.final, 'queued', a.asked_at, $1, $1
FROM unnest(
    $2::UUID[], $3::UUID[], $4::TEXT[], $5::INT[], $6::UUID[], $7::TEXT[], $8::TEXT[], $9::NUMERIC[], $10::BOOLEAN[],
    $11::TIMESTAMPTZ[]
) AS a (
    payment_id, attempt_id, step, ordinal, subject_id, connector, acquirer_authorisation, amount_minor, final, asked_at
)
JOIN gateway.payments AS p ON p.payment_id = a.payment_id

-- name: lock
-- One attempt, locked.
SELECT * FROM gateway.attempts WHERE attempt_id = $1 FOR UPDATE

-- name: save
-- What has become of an attempt.
UPDATE gateway.attempts
SET connector = $2, state = $3, code = $4, connector_code = $5, connector_reference = $6, url = $7, asks = $8,
    started_at = $9, unknown_since = $10, answered_at = $11, overdue_at = $12, due_at = $13
WHERE attempt_id = $1

-- name: claim
-- Take up to $3 due attempts until $2. A queued increment, capture or void waits for those of its payment
-- that came before it.
UPDATE gateway.attempts AS a SET due_at = $2
WHERE a.attempt_id IN (
    SELECT d.attempt_id FROM gateway.attempts AS d
    WHERE d.due_at <= $1 AND NOT (
        d.state = 'queued' AND d.step IN ('increment', 'capture', 'void') AND EXISTS (
            SELECT FROM gateway.attempts AS b
            WHERE b.payment_id = d.payment_id AND b.step IN ('increment', 'capture', 'void') AND b.due_at IS NOT NULL
                AND (b.created_at, b.step, b.ordinal) < (d.created_at, d.step, d.ordinal)
        )
    )
    ORDER BY d.due_at LIMIT $3 FOR UPDATE SKIP LOCKED
)
RETURNING a.*

-- name: bring_back
-- Those that are due after $2 are due now.
UPDATE gateway.attempts SET due_at = $1 WHERE due_at > $2 RETURNING attempt_id

-- name: find
-- One attempt.
SELECT * FROM gateway.attempts WHERE attempt_id = $1

-- name: of_payment
-- A payment's attempts.
SELECT * FROM gateway.attempts WHERE payment_id = $1 ORDER BY created_at, step, ordinal

-- name: card
-- What is kept of a payment's card.
SELECT card FROM gateway.payments WHERE payment_id = $1

-- name: unknown
-- The attempts whose outcome is unknown now, one by one.
SELECT * FROM gateway.attempts WHERE due_at IS NOT NULL AND state = 'unknown' ORDER BY unknown_since, attempt_id LIMIT $1

-- name: standing
-- The attempts whose outcome is unknown now.
SELECT
    step, connector, count(*) AS count, min(unknown_since) AS since, count(overdue_at) AS overdue
FROM gateway.attempts WHERE due_at IS NOT NULL AND state = 'unknown' GROUP BY step, connector
