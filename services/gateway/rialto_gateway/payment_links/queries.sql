-- name: add
-- A new link.
INSERT INTO gateway.payment_links (
    link_id, slug, merchant_id, mode, amount_minor, currency, description, return_url, metadata, max_payments,
    expires_at, created_at
) VALUES ($1, $2, $3, $4, $5::TEXT::NUMERIC, $6, $7, $8, $9, $10, $11, $12)

-- name: get
-- One link of a merchant.
SELECT l.*, m.name AS merchant_name, m.settlement_address
FROM gateway.payment_links AS l JOIN gateway.merchants AS m ON m.merchant_id = l.merchant_id
WHERE l.link_id = $1 AND l.merchant_id = $2 AND l.mode = $3

-- name: list
-- A merchant's links, newest first, from a cursor on.
SELECT l.*, m.name AS merchant_name, m.settlement_address
FROM gateway.payment_links AS l JOIN gateway.merchants AS m ON m.merchant_id = l.merchant_id
WHERE l.merchant_id = $1 AND l.mode = $2 AND l.link_id < $3
ORDER BY l.link_id DESC
LIMIT $4

-- name: deactivate
-- Take no more payments by a link.
UPDATE gateway.payment_links SET deactivated_at = $4
WHERE link_id = $1 AND merchant_id = $2 AND mode = $3 AND deactivated_at IS NULL

-- name: by_slug
-- The link of an address.
SELECT l.*, m.name AS merchant_name, m.settlement_address
FROM gateway.payment_links AS l JOIN gateway.merchants AS m ON m.merchant_id = l.merchant_id
WHERE l.slug = $1

-- name: lock
-- A link, so that its uses are counted one after the other.
SELECT max_payments FROM gateway.payment_links WHERE link_id = $1 FOR UPDATE

-- name: uses
-- How many payments a link has made or is making, without the use $2, and without those that came to nothing. A form that
-- was sent and has no payment yet counts for the time that accepting one can take ($3).
SELECT count(*)
FROM gateway.payment_link_uses AS u
JOIN gateway.payment_links AS l ON l.link_id = u.link_id
LEFT JOIN gateway.payments AS p
    ON p.merchant_id = l.merchant_id AND p.mode = l.mode AND p.idempotency_key = u.idempotency_key
WHERE u.link_id = $1 AND u.idempotency_key <> $2
    AND CASE
        WHEN p.payment_id IS NULL THEN u.used_at > $3
        ELSE p.state NOT IN ('declined', 'failed', 'voided', 'expired')
    END

-- name: use
-- A form that was sent; the same one again is the same use.
INSERT INTO gateway.payment_link_uses (link_id, idempotency_key, used_at) VALUES ($1, $2, $3)
ON CONFLICT ON CONSTRAINT payment_link_uses_pk DO NOTHING

-- name: take_back
-- A form that came to nothing.
DELETE FROM gateway.payment_link_uses AS u
USING gateway.payment_links AS l
WHERE l.link_id = u.link_id AND u.link_id = $1 AND u.idempotency_key = $2 AND NOT EXISTS (
    SELECT FROM gateway.payments AS p
    WHERE p.merchant_id = l.merchant_id AND p.mode = l.mode AND p.idempotency_key = u.idempotency_key
)

-- name: payment_under
-- The payment of a form.
SELECT payment_id FROM gateway.payments WHERE merchant_id = $1 AND mode = $2 AND idempotency_key = $3
