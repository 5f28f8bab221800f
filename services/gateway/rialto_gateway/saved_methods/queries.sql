-- name: add_method
-- A card of a customer that is not deleted; the customer's lock keeps deleting it from passing this by.
INSERT INTO gateway.saved_methods (method_id, customer_id, merchant_id, mode, token, fingerprint, created_at)
SELECT $1, c.customer_id, c.merchant_id, c.mode, $5, $6, $7
FROM (
    SELECT customer_id, merchant_id, mode FROM gateway.customers
    WHERE customer_id = $2 AND merchant_id = $3 AND mode = $4 AND deleted_at IS NULL
    FOR UPDATE
) AS c
RETURNING method_id

-- name: method
-- One saved card of a merchant.
SELECT * FROM gateway.saved_methods WHERE method_id = $1 AND merchant_id = $2 AND mode = $3

-- name: methods
-- Some saved cards of a merchant.
SELECT * FROM gateway.saved_methods WHERE method_id = ANY ($1) AND merchant_id = $2 AND mode = $3

-- name: methods_of_customer
-- A customer's saved cards that are not detached, newest first.
SELECT * FROM gateway.saved_methods
WHERE customer_id = $1 AND merchant_id = $2 AND mode = $3 AND detached_at IS NULL
ORDER BY method_id DESC

-- name: detach
-- Forget the token; mandates of a card that is not there charge nothing.
UPDATE gateway.saved_methods SET token = NULL, detached_at = $4
WHERE method_id = $1 AND merchant_id = $2 AND mode = $3 AND detached_at IS NULL

-- name: add_mandate
-- A new mandate.
INSERT INTO gateway.mandates (
    mandate_id, method_id, merchant_id, mode, currency, max_amount_minor, period, period_amount_minor, period_payments,
    accepted_at, starts_at, ends_at, metadata, created_at
) VALUES ($1, $2, $3, $4, $5, $6::TEXT::NUMERIC, $7, $8::TEXT::NUMERIC, $9, $10, $11, $12, $13::TEXT::JSON, $14)

-- name: mandate
-- One mandate of a merchant.
SELECT * FROM gateway.mandates WHERE mandate_id = $1 AND merchant_id = $2 AND mode = $3

-- name: mandates_named
-- Some mandates of a merchant.
SELECT * FROM gateway.mandates WHERE mandate_id = ANY ($1) AND merchant_id = $2 AND mode = $3

-- name: lock_mandate
-- A mandate, so that its uses are counted one after the other.
SELECT * FROM gateway.mandates WHERE mandate_id = $1 AND merchant_id = $2 AND mode = $3 FOR UPDATE

-- name: mandates
-- A merchant's mandates, newest first; of one saved card where that is named.
SELECT * FROM gateway.mandates
WHERE merchant_id = $1 AND mode = $2 AND mandate_id < $3 AND ($4::UUID IS NULL OR method_id = $4)
ORDER BY mandate_id DESC
LIMIT $5

-- name: revoke
-- End a mandate; what was charged by it stays.
UPDATE gateway.mandates SET revoked_at = $4
WHERE mandate_id = $1 AND merchant_id = $2 AND mode = $3 AND revoked_at IS NULL

-- name: used
-- What was charged by a mandate since $3, without the use $2 and those that came to nothing. A use that has no payment yet
-- counts for the time that accepting one can take ($4); one that has, with what it is or is being raised to. Up to $5.
SELECT count(*) AS payments, coalesce(sum(coalesce(p.increment_to_minor, p.amount_minor, u.amount_minor)), 0) AS amount_minor
FROM gateway.mandate_uses AS u
JOIN gateway.mandates AS m ON m.mandate_id = u.mandate_id
LEFT JOIN gateway.payments AS p
    ON p.merchant_id = m.merchant_id AND p.mode = m.mode AND p.idempotency_key = u.idempotency_key
    AND p.card ->> 'mandate_id' = m.mandate_id::TEXT
WHERE u.mandate_id = $1 AND u.idempotency_key <> $2 AND u.used_at >= $3
    AND ($5::TIMESTAMPTZ IS NULL OR u.used_at < $5)
    AND CASE
        WHEN p.payment_id IS NULL THEN u.used_at > $4
        ELSE p.state NOT IN ('declined', 'failed', 'voided', 'expired')
    END

-- name: lock_mandate_of
-- The mandate that a payment was charged by, so that its uses are counted one after the other, with the payment's own use.
SELECT m.*, u.idempotency_key, u.used_at
FROM gateway.payments AS p
JOIN gateway.mandates AS m ON m.mandate_id = (p.card ->> 'mandate_id')::UUID
JOIN gateway.mandate_uses AS u ON u.mandate_id = m.mandate_id AND u.idempotency_key = p.idempotency_key
WHERE p.payment_id = $1
FOR UPDATE OF m

-- name: use
-- A payment to be made by a mandate; asked for again before it is there, it counts from then on, with the larger amount: of
-- two requests under one key, either may be the one that is accepted.
INSERT INTO gateway.mandate_uses (mandate_id, idempotency_key, amount_minor, used_at) VALUES ($1, $2, $3::TEXT::NUMERIC, $4)
ON CONFLICT ON CONSTRAINT mandate_uses_pk DO UPDATE SET
    used_at = excluded.used_at, amount_minor = greatest(mandate_uses.amount_minor, excluded.amount_minor)

-- name: take_back
-- A use that came to nothing.
DELETE FROM gateway.mandate_uses AS u
USING gateway.mandates AS m
WHERE m.mandate_id = u.mandate_id AND u.mandate_id = $1 AND u.idempotency_key = $2 AND NOT EXISTS (
    SELECT FROM gateway.payments AS p
    WHERE p.merchant_id = m.merchant_id AND p.mode = m.mode AND p.idempotency_key = u.idempotency_key
        AND p.card ->> 'mandate_id' = m.mandate_id::TEXT
)
