-- name: file_of_hash
-- The file with these bytes, if it was taken before.
SELECT * FROM gateway.settlement_files WHERE connector = $1 AND sha256 = $2

-- name: attempts_of
-- What an acquirer was asked under these references.
SELECT attempt_id, payment_id, merchant_id, mode, step, subject_id, currency, amount_minor, state, settled_at
FROM gateway.attempts WHERE attempt_id = ANY ($1::UUID[]) AND connector = $2

-- name: lock_attempts_of
-- The same, locked in the order of their ids.
SELECT attempt_id, payment_id, merchant_id, mode, step, subject_id, currency, amount_minor, state, settled_at
FROM gateway.attempts WHERE attempt_id = ANY ($1::UUID[]) AND connector = $2 ORDER BY attempt_id FOR UPDATE

-- name: disputes_of
-- An acquirer's disputes of these references.
SELECT dispute_id, reference, payment_id, merchant_id, mode, currency, amount_minor, state, settled_at
FROM gateway.disputes WHERE reference = ANY ($1::TEXT[]) AND connector = $2

-- name: lock_disputes_of
-- The same, locked in the order of their ids.
SELECT dispute_id, reference, payment_id, merchant_id, mode, currency, amount_minor, state, settled_at
FROM gateway.disputes WHERE reference = ANY ($1::TEXT[]) AND connector = $2 ORDER BY dispute_id FOR UPDATE

-- name: settle_disputes
-- The acquirer has taken back what was lost in these.
UPDATE gateway.disputes SET settled_at = $2 WHERE dispute_id = ANY ($1::UUID[])

-- name: add_file
-- A file that was taken.
INSERT INTO gateway.settlement_files (
    file_id, connector, name, sha256, lines, cleared, differing, totals, received_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: add_lines
-- Its lines.
INSERT INTO gateway.settlement_lines (
    file_id, line, kind, acquirer_id, reference, authorisation, currency, gross_minor, fee_minor, net_minor, settled_on,
    attempt_id, dispute_id
)
SELECT $1, l.*
FROM unnest(
    $2::INT[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::TEXT[], $8::NUMERIC[], $9::NUMERIC[], $10::NUMERIC[],
    $11::DATE[], $12::UUID[], $13::UUID[]
) AS l

-- name: settle_attempts
-- These attempts are settled; differences about them that were open are resolved by it. Another line that pays for the
-- same is none of them: a person has to ask why it came.
WITH settled AS (
    UPDATE gateway.attempts SET settled_at = $2 WHERE attempt_id = ANY ($1::UUID[])
)
UPDATE gateway.settlement_differences
SET state = 'resolved', resolved_at = $2, resolution = $3
WHERE attempt_id = ANY ($1::UUID[]) AND state = 'open' AND reason NOT IN ('duplicate', 'not_done')

-- name: add_differences
-- Differences of a file's lines.
INSERT INTO gateway.settlement_differences (
    difference_id, connector, file_id, line, attempt_id, reference, reason, currency, amount_minor, expected, found,
    state, opened_at
)
SELECT d.difference_id, $2, $1, d.line, d.attempt_id, d.reference, d.reason, d.currency, d.amount_minor, d.expected,
    d.found, 'open', $3
FROM unnest(
    $4::UUID[], $5::INT[], $6::UUID[], $7::TEXT[], $8::TEXT[], $9::TEXT[], $10::NUMERIC[], $11::TEXT[], $12::TEXT[]
) AS d (difference_id, line, attempt_id, reference, reason, currency, amount_minor, expected, found)

-- name: overdue
-- Captures and refunds at an acquirer that no file has settled so long after, the longest first.
SELECT a.attempt_id, a.step, a.currency, a.amount_minor, a.answered_at
FROM gateway.attempts AS a
WHERE a.connector = $1 AND a.state = 'succeeded' AND a.step IN ('capture', 'refund') AND a.settled_at IS NULL
    AND a.answered_at <= $2
    AND NOT EXISTS (
        SELECT FROM gateway.settlement_differences AS d
        WHERE d.attempt_id = a.attempt_id AND d.reason = 'missing'
    )
ORDER BY a.answered_at LIMIT $3

-- name: add_missing
-- They are differences, unless they are so already.
INSERT INTO gateway.settlement_differences (
    difference_id, connector, attempt_id, reference, reason, currency, amount_minor, expected, found, state, opened_at
)
SELECT d.difference_id, $1, d.attempt_id, d.reference, 'missing', d.currency, d.amount_minor, d.expected,
    'no line in any file', 'open', $2
FROM unnest($3::UUID[], $4::UUID[], $5::TEXT[], $6::TEXT[], $7::NUMERIC[], $8::TEXT[]) AS d (
    difference_id, attempt_id, reference, currency, amount_minor, expected
)
ON CONFLICT ON CONSTRAINT settlement_differences_pk DO NOTHING

-- name: open_differences
-- How many differences are open, by acquirer and reason.
SELECT connector, reason, count(*) AS count FROM gateway.settlement_differences WHERE state = 'open' GROUP BY 1, 2

-- name: differences
-- An acquirer's differences from a place on, the newest first.
SELECT d.*, f.name AS file_name
FROM gateway.settlement_differences AS d
LEFT JOIN gateway.settlement_files AS f ON f.file_id = d.file_id
WHERE d.connector = $1 AND ($2::TEXT IS NULL OR d.state = $2) AND (d.opened_at, d.difference_id) < ($3, $4)
ORDER BY d.opened_at DESC, d.difference_id DESC LIMIT $5

-- name: difference
-- One difference.
SELECT d.*, f.name AS file_name
FROM gateway.settlement_differences AS d
LEFT JOIN gateway.settlement_files AS f ON f.file_id = d.file_id
WHERE d.connector = $1 AND d.difference_id = $2

-- name: resolve
-- A person has resolved a difference.
UPDATE gateway.settlement_differences SET state = 'resolved', resolved_at = $3, resolution = $4
WHERE connector = $1 AND difference_id = $2 AND state = 'open'

-- name: early_lines
-- Lines of open differences that came before we knew that what they name was done, and it is now: the oldest first.
SELECT l.*, d.difference_id
FROM gateway.settlement_differences AS d
JOIN gateway.settlement_lines AS l ON l.file_id = d.file_id AND l.line = d.line
LEFT JOIN gateway.attempts AS a ON a.attempt_id = d.attempt_id
LEFT JOIN gateway.disputes AS p
    ON p.connector = d.connector AND p.reference = d.reference AND l.kind = 'chargeback'
    AND p.currency = l.currency AND p.amount_minor = -l.gross_minor
WHERE d.connector = $1 AND d.state = 'open' AND d.reason IN ('not_done', 'chargeback')
    AND (
        (a.state = 'succeeded' AND a.settled_at IS NULL)
        OR (p.state = 'lost' AND p.settled_at IS NULL)
    )
ORDER BY d.opened_at, d.difference_id LIMIT $2

-- name: clear_early
-- These lines clear an attempt or a dispute after all.
UPDATE gateway.settlement_lines AS l SET attempt_id = c.attempt_id, dispute_id = c.dispute_id
FROM unnest($1::UUID[], $2::INT[], $3::UUID[], $4::UUID[]) AS c (file_id, line, attempt_id, dispute_id)
WHERE l.file_id = c.file_id AND l.line = c.line

-- name: resolve_early
-- And are no differences any more.
UPDATE gateway.settlement_differences SET state = 'resolved', resolved_at = $2, resolution = $3
WHERE difference_id = ANY ($1::UUID[]) AND state = 'open'
