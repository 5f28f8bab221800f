-- name: save_screenings
-- Keep each verdict once; returns the payments that had none.
INSERT INTO compliance.screenings (
    payment_id, merchant_id, mode, shard, outcome, hits, rules, list_versions, policy_version, screened_at
)
SELECT
    s.payment_id, s.merchant_id, s.mode, s.shard, s.outcome, s.hits::JSON, s.rules::JSON, s.list_versions::JSON,
    s.policy_version, s.screened_at
FROM unnest(
    $1::UUID[], $2::UUID[], $3::TEXT[], $4::SMALLINT[], $5::TEXT[], $6::TEXT[], $7::TEXT[], $8::TEXT[], $9::TEXT[],
    $10::TIMESTAMPTZ[]
) AS s (
    payment_id, merchant_id, mode, shard, outcome, hits, rules, list_versions, policy_version, screened_at
)
ORDER BY s.payment_id
ON CONFLICT ON CONSTRAINT screenings_pk DO NOTHING
RETURNING payment_id;

-- name: find_screening
-- One payment's verdict.
SELECT payment_id, merchant_id, mode, outcome, hits, rules, list_versions, policy_version, screened_at
FROM compliance.verdicts
WHERE payment_id = $1;

-- name: record_lists
-- Note the lists in force; a version that was seen before is in force again.
INSERT INTO compliance.lists (list_id, version, entities, names, loaded_at)
SELECT l.list_id, l.version, l.entities, l.names, $5
FROM unnest($1::TEXT[], $2::TEXT[], $3::INT[], $4::INT[]) AS l (list_id, version, entities, names)
ORDER BY l.list_id
ON CONFLICT ON CONSTRAINT lists_pk DO UPDATE
SET loaded_at = greatest(compliance.lists.loaded_at, excluded.loaded_at);

-- name: lists_in_force
-- What the worker that started last asks.
SELECT list_id, version, entities, names, loaded_at
FROM compliance.lists_in_force
ORDER BY list_id;
