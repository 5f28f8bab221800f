-- name: add_merchant
-- A new merchant.
INSERT INTO gateway.merchants (merchant_id, name, country, settlement_address, created_at) VALUES ($1, $2, $3, $4, $5)

-- name: get_merchant
-- One merchant.
SELECT merchant_id, name, country, settlement_address, created_at FROM gateway.merchants WHERE merchant_id = $1

-- name: add_key
-- A new key's hash.
INSERT INTO gateway.api_keys (key_hash, merchant_id, mode, created_at, key_id, kind, scopes, api_version, hint)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: used
-- When keys were used last.
UPDATE gateway.api_keys SET last_used_at = $2 WHERE key_id = ANY ($1)

-- name: list_keys
-- A merchant's keys of a mode (null: of both), the newest first; never what would open anything.
SELECT key_id, merchant_id, mode, kind, scopes, api_version, hint, created_at, expires_at, revoked_at, last_used_at
FROM gateway.api_keys
WHERE merchant_id = $1 AND (mode = $2 OR $2 IS NULL) AND (key_id < $3)
ORDER BY key_id DESC LIMIT $4

-- name: lock_key
-- One key of a merchant (null: of any) and mode that is in force, kept to this transaction.
SELECT key_id, merchant_id, mode, kind, scopes, api_version, hint, created_at, expires_at, revoked_at, last_used_at
FROM gateway.api_keys
WHERE key_id = $1 AND (merchant_id = $2 OR $2 IS NULL) AND (mode = $3 OR $3 IS NULL)
    AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $4)
FOR UPDATE

-- name: expire_key
-- Let a key live until a time, and no longer than it would have.
UPDATE gateway.api_keys SET expires_at = least(expires_at, $2) WHERE key_id = $1

-- name: revoke_key
-- End a key.
UPDATE gateway.api_keys SET revoked_at = $2 WHERE key_id = $1

-- name: start_bucket
-- A full bucket for a key that has none.
INSERT INTO gateway.rate_buckets (key_id, tokens, filled_at) VALUES ($1, $2, $3)
ON CONFLICT ON CONSTRAINT rate_buckets_pk DO NOTHING

-- name: lock_bucket
-- A key's bucket, kept to this transaction.
SELECT tokens, filled_at FROM gateway.rate_buckets WHERE key_id = $1 FOR UPDATE

-- name: save_bucket
-- What is left in it.
UPDATE gateway.rate_buckets SET tokens = $2, filled_at = $3 WHERE key_id = $1

-- name: add_audit
-- An administrative act.
INSERT INTO gateway.audit_log (entry_id, at, actor, act, object, merchant_id, mode, request_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)

-- name: list_audit
-- Acts, the newest first; of one merchant's mode, or of all where both are null.
SELECT entry_id, at, actor, act, object, merchant_id, mode, request_id
FROM gateway.audit_log
WHERE entry_id < $3 AND (merchant_id = $1 OR $1 IS NULL) AND (mode = $2 OR $2 IS NULL)
ORDER BY entry_id DESC LIMIT $4

-- name: find_key
-- Whose key this is.
SELECT
    k.merchant_id, k.mode, m.settlement_address, k.kind, k.scopes, k.key_id, k.api_version, k.expires_at
FROM gateway.api_keys AS k JOIN gateway.merchants AS m ON m.merchant_id = k.merchant_id
WHERE k.key_hash = $1 AND k.revoked_at IS NULL

-- name: reserve_answer
-- Take an idempotency key, or do nothing where it is taken.
INSERT INTO gateway.idempotent_answers (scope, idempotency_key, request_hash, resource_id, created_at, leased_until)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT ON CONSTRAINT idempotent_answers_pk DO NOTHING

-- name: try_key
-- Keep a key to this transaction; false where another has it.
SELECT pg_try_advisory_xact_lock(hashtextextended($1, 20261101))

-- name: lease_answer
-- Take an idempotency key for a while, also over from a request that never finished; no row where it is taken. A lease that
-- ends later than one that is taken now was dated by a clock that stood ahead, and counts no more (2 s is clocks' difference).
INSERT INTO gateway.idempotent_answers AS a (
    scope, idempotency_key, request_hash, resource_id, created_at, leased_until
)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT ON CONSTRAINT idempotent_answers_pk DO UPDATE SET leased_until = excluded.leased_until
WHERE a.answer IS NULL AND a.request_hash = excluded.request_hash
    AND (a.leased_until <= excluded.created_at OR a.leased_until > excluded.leased_until + INTERVAL '2 seconds')
RETURNING resource_id

-- name: release_answer
-- Give a lease back whose work came to nothing definite, so that a retry need not wait for its end.
UPDATE gateway.idempotent_answers SET leased_until = created_at
WHERE scope = $1 AND idempotency_key = $2 AND answer IS NULL AND leased_until = $3

-- name: drop_answer
-- Free a key whose request was refused for what it is; nothing was done under it.
DELETE FROM gateway.idempotent_answers
WHERE scope = $1 AND idempotency_key = $2 AND answer IS NULL AND leased_until = $3

-- name: sweep_answers
-- Forget some of the answers older than a time, passing over those that another sweep is at.
DELETE FROM gateway.idempotent_answers
WHERE (scope, idempotency_key) IN (
    SELECT scope, idempotency_key FROM gateway.idempotent_answers
    WHERE created_at < $1 ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
)

-- name: find_answer
-- What was answered under a key.
SELECT request_hash, resource_id, answer FROM gateway.idempotent_answers WHERE scope = $1 AND idempotency_key = $2

-- name: store_answer
-- Keep the (encrypted) answer.
UPDATE gateway.idempotent_answers SET answer = $3, leased_until = NULL WHERE scope = $1 AND idempotency_key = $2
