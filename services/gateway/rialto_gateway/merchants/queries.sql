-- name: add_merchant
-- A new merchant.
INSERT INTO gateway.merchants (merchant_id, name, country, settlement_address, created_at) VALUES ($1, $2, $3, $4, $5)

-- name: get_merchant
-- One merchant.
SELECT merchant_id, name, country, settlement_address, created_at FROM gateway.merchants WHERE merchant_id = $1

-- name: add_key
-- A new key's hash.
INSERT INTO gateway.api_keys (key_hash, merchant_id, mode, created_at) VALUES ($1, $2, $3, $4)

-- name: find_key
-- Whose key this is.
SELECT k.merchant_id, k.mode, m.settlement_address
FROM gateway.api_keys AS k JOIN gateway.merchants AS m ON m.merchant_id = k.merchant_id
WHERE k.key_hash = $1 AND k.revoked_at IS NULL

-- name: reserve_answer
-- Take an idempotency key, or do nothing where it is taken.
INSERT INTO gateway.idempotent_answers (scope, idempotency_key, request_hash, resource_id, created_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT ON CONSTRAINT idempotent_answers_pk DO NOTHING

-- name: find_answer
-- What was answered under a key.
SELECT request_hash, resource_id, answer FROM gateway.idempotent_answers WHERE scope = $1 AND idempotency_key = $2

-- name: store_answer
-- Keep the (encrypted) answer.
UPDATE gateway.idempotent_answers SET answer = $3 WHERE scope = $1 AND idempotency_key = $2
