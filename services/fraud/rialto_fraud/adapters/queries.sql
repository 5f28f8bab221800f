-- name: known_assessments
-- Which of these payments have a verdict.
SELECT payment_id FROM fraud.assessments WHERE payment_id = ANY ($1::UUID[]);

-- name: make_histories
-- Make the rows that are missing, in id order, so that there is a row to lock.
INSERT INTO fraud.histories (mode, subject, history)
SELECT s.mode, s.subject, ''::BYTEA
FROM unnest($1::TEXT[], $2::TEXT[]) AS s (mode, subject)
ORDER BY s.mode, s.subject
ON CONFLICT ON CONSTRAINT histories_pk DO NOTHING;

-- name: lock_histories
-- Each history of the batch, once, under its lock, in id order.
SELECT h.mode, h.subject, h.history
FROM fraud.histories AS h
JOIN unnest($1::TEXT[], $2::TEXT[]) AS s (mode, subject) ON h.mode = s.mode AND h.subject = s.subject
ORDER BY h.mode, h.subject
FOR UPDATE OF h;

-- name: save_histories
-- Write each history of the batch once.
UPDATE fraud.histories AS h
SET history = s.history
FROM unnest($1::TEXT[], $2::TEXT[], $3::BYTEA[]) AS s (mode, subject, history)
WHERE h.mode = s.mode AND h.subject = s.subject;

-- name: save_assessments
-- Keep the verdicts of a batch. Features come as one flat array, $14 of them a payment: unnest flattens arrays of arrays.
INSERT INTO fraud.assessments (
    payment_id, merchant_id, mode, shard, score, outcome, reasons, feature_version, model_version, policy_version,
    occurred_at, assessed_at, features
)
SELECT
    a.payment_id, a.merchant_id, a.mode, a.shard, a.score, a.outcome, a.reasons::JSON, a.feature_version,
    a.model_version, a.policy_version, a.occurred_at, a.assessed_at,
    ($13::REAL[])[(a.nth - 1) * $14::INT + 1 : a.nth * $14::INT]
FROM unnest(
    $1::UUID[], $2::UUID[], $3::TEXT[], $4::SMALLINT[], $5::REAL[], $6::TEXT[], $7::TEXT[], $8::TEXT[], $9::TEXT[],
    $10::TEXT[], $11::TIMESTAMPTZ[], $12::TIMESTAMPTZ[]
) WITH ORDINALITY AS a (
    payment_id, merchant_id, mode, shard, score, outcome, reasons, feature_version, model_version, policy_version,
    occurred_at, assessed_at, nth
);

-- name: find_assessment
-- One payment's verdict.
SELECT
    payment_id, merchant_id, mode, shard, score, outcome, reasons, features, feature_version, model_version,
    policy_version, occurred_at, assessed_at
FROM fraud.verdicts
WHERE payment_id = $1;
