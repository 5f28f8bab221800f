-- name: add
-- A new customer.
INSERT INTO gateway.customers (customer_id, merchant_id, mode, person, metadata, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $6)

-- name: get
-- One customer of a merchant.
SELECT customer_id, person, metadata, created_at, updated_at, deleted_at
FROM gateway.customers WHERE customer_id = $1 AND merchant_id = $2 AND mode = $3

-- name: named
-- Some customers of a merchant.
SELECT customer_id, person, metadata, created_at, updated_at, deleted_at
FROM gateway.customers WHERE customer_id = ANY ($1) AND merchant_id = $2 AND mode = $3

-- name: lock
-- One customer of a merchant, until the transaction ends.
SELECT customer_id, person, metadata, created_at, updated_at, deleted_at
FROM gateway.customers WHERE customer_id = $1 AND merchant_id = $2 AND mode = $3 FOR UPDATE

-- name: list
-- A merchant's customers, newest first, from a cursor on; without those that were deleted.
SELECT customer_id, person, metadata, created_at, updated_at, deleted_at
FROM gateway.customers
WHERE merchant_id = $1 AND mode = $2 AND customer_id < $3 AND deleted_at IS NULL
ORDER BY customer_id DESC
LIMIT $4

-- name: change
-- What is known of a customer.
UPDATE gateway.customers SET person = $2, metadata = $3, updated_at = $4 WHERE customer_id = $1

-- name: delete
-- A customer that is to be forgotten, and with it its saved cards.
WITH cards AS (
    UPDATE gateway.saved_methods SET token = NULL, detached_at = $2 WHERE customer_id = $1 AND detached_at IS NULL
)
UPDATE gateway.customers SET person = NULL, metadata = '{}', updated_at = $2, deleted_at = $2 WHERE customer_id = $1
