-- name: lock
-- One worker of a service at a time; the others come again later.
SELECT pg_try_advisory_xact_lock(hashtextextended('{schema}.control_totals', 0))

-- name: told
-- What was said last of a day.
SELECT merchant_id, mode, currency, day, revision, sequence, totals, told_at
FROM {schema}.control_totals WHERE day = $1

-- name: last_sequences
-- The last sequence of each of these merchants.
SELECT merchant_id, max(sequence) AS sequence
FROM {schema}.control_totals WHERE merchant_id = ANY ($1::UUID[]) GROUP BY merchant_id

-- name: tell
-- Keep what is said, in place of what was said before.
INSERT INTO {schema}.control_totals (merchant_id, mode, currency, day, revision, sequence, totals, told_at)
SELECT t.merchant_id, t.mode, t.currency, t.day, t.revision, t.sequence, t.totals::JSONB, $8
FROM unnest($1::UUID[], $2::TEXT[], $3::TEXT[], $4::DATE[], $5::INT[], $6::BIGINT[], $7::TEXT[])
AS t (merchant_id, mode, currency, day, revision, sequence, totals)
ON CONFLICT ON CONSTRAINT control_totals_pk DO UPDATE
SET revision = excluded.revision, sequence = excluded.sequence, totals = excluded.totals, told_at = excluded.told_at
