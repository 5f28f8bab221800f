-- name: enqueue
-- A delivery a message and matching endpoint.
INSERT INTO gateway.webhook_deliveries (
    delivery_id, endpoint_id, payment_id, event, body, state, next_attempt_at, created_at
)
SELECT
    -- One message, several endpoints: each delivery's id is the message's, marked by the endpoint's.
    md5(m.event_id::TEXT || w.endpoint_id::TEXT)::UUID, w.endpoint_id, m.payment_id, m.event, m.body, 'pending', $1, $1
FROM unnest($2::UUID[], $3::UUID[], $4::TEXT[], $5::UUID[], $6::TEXT[], $7::TEXT[])
AS m (event_id, merchant_id, mode, payment_id, event, body)
JOIN gateway.webhook_endpoints AS w
    ON w.merchant_id = m.merchant_id AND w.mode = m.mode AND w.deleted_at IS NULL
    AND (m.event = ANY (w.events) OR w.events = '{}')

-- name: has_endpoints
-- Whether any of these merchants listens.
SELECT EXISTS (
    SELECT FROM gateway.webhook_endpoints WHERE merchant_id = ANY ($1) AND deleted_at IS NULL
)

-- name: claim
-- Deliveries that are due, each with a new attempt; due again only after the lease, should this process die. What
-- became of an attempt whose process died is not known.
WITH due AS (
    SELECT delivery_id FROM gateway.webhook_deliveries
    WHERE next_attempt_at <= $1 ORDER BY next_attempt_at LIMIT $3 FOR UPDATE SKIP LOCKED
), started AS (
    UPDATE gateway.webhook_deliveries AS d SET attempts = d.attempts + 1, next_attempt_at = $2
    FROM due WHERE d.delivery_id = due.delivery_id
    RETURNING d.delivery_id, d.endpoint_id, d.body, d.attempts, d.created_at
), lost AS (
    UPDATE gateway.webhook_attempts AS a SET state = 'unknown', error = 'interrupted'
    FROM due WHERE a.delivery_id = due.delivery_id AND a.state = 'started'
), logged AS (
    INSERT INTO gateway.webhook_attempts (delivery_id, nth, started_at, state)
    SELECT delivery_id, attempts, $1, 'started' FROM started
)
SELECT s.delivery_id, s.body, s.attempts, s.created_at, w.endpoint_id, w.url, w.secret, w.deleted_at
FROM started AS s JOIN gateway.webhook_endpoints AS w ON w.endpoint_id = s.endpoint_id

-- name: finish_attempt
-- What became of an attempt.
UPDATE gateway.webhook_attempts SET state = $3, status = $4, error = $5 WHERE delivery_id = $1 AND nth = $2

-- name: finish_delivery
-- What becomes of the delivery: delivered, given up, or due again.
UPDATE gateway.webhook_deliveries SET state = $2, next_attempt_at = $3 WHERE delivery_id = $1

-- name: add_endpoint
-- A new endpoint.
INSERT INTO gateway.webhook_endpoints (endpoint_id, merchant_id, mode, url, events, secret, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)

-- name: list_endpoints
-- A merchant's endpoints.
SELECT endpoint_id, url, events, created_at FROM gateway.webhook_endpoints
WHERE merchant_id = $1 AND mode = $2 AND deleted_at IS NULL ORDER BY endpoint_id

-- name: get_endpoint
-- One endpoint of a merchant.
SELECT endpoint_id, url, events, created_at FROM gateway.webhook_endpoints
WHERE endpoint_id = $1 AND merchant_id = $2 AND mode = $3 AND deleted_at IS NULL

-- name: delete_endpoint
-- Stop sending to an endpoint.
UPDATE gateway.webhook_endpoints SET deleted_at = $4
WHERE endpoint_id = $1 AND merchant_id = $2 AND mode = $3 AND deleted_at IS NULL

-- name: deliveries
-- The newest deliveries to an endpoint, with their last attempt.
SELECT d.delivery_id, d.payment_id, d.event, d.state, d.attempts, d.next_attempt_at, d.created_at, a.status, a.error
FROM gateway.webhook_deliveries AS d
LEFT JOIN gateway.webhook_attempts AS a ON a.delivery_id = d.delivery_id AND a.nth = d.attempts
WHERE d.endpoint_id = $1 ORDER BY d.created_at DESC, d.delivery_id LIMIT 100
