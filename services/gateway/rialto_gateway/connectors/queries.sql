-- name: keep
-- A message came: for the first time, or once more. Its outcome so far.
INSERT INTO gateway.connector_webhooks (
    webhook_id, connector, message_id, sha256, reference, says, body, outcome, times, received_at, last_received_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, 'received', 1, $8, $8)
ON CONFLICT ON CONSTRAINT connector_webhooks_once DO UPDATE
SET times = connector_webhooks.times + 1, last_received_at = excluded.last_received_at
RETURNING webhook_id, outcome

-- name: conclude
-- What a message has come to; the first time counts, later ones find it known.
UPDATE gateway.connector_webhooks SET outcome = $2 WHERE webhook_id = $1 AND outcome = 'received'

-- name: newest
-- An acquirer's messages from a place on, the newest first, of one reference where it is given.
SELECT * FROM gateway.connector_webhooks
WHERE connector = $1 AND (received_at, webhook_id) < ($2, $3) AND ($4::TEXT IS NULL OR reference = $4)
ORDER BY received_at DESC, webhook_id DESC LIMIT $5

-- name: sweep
-- Forget messages that are old enough.
DELETE FROM gateway.connector_webhooks WHERE webhook_id IN (
    SELECT webhook_id FROM gateway.connector_webhooks WHERE received_at < $1 LIMIT $2
)
