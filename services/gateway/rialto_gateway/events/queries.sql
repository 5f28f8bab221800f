-- name: page
-- A merchant's newest events of some types before a place in time. Each type is read from its own place in the index
-- and the page put together from these, so a page costs by the types and its length, not by its depth.
WITH keys AS (
    SELECT k.event_id, k.created_at
    FROM unnest($3::TEXT[]) AS t (type)
    CROSS JOIN LATERAL (
        SELECT e.event_id, e.created_at FROM gateway.merchant_events AS e
        WHERE e.merchant_id = $1 AND e.mode = $2 AND e.type = t.type
            AND (e.created_at, e.event_id) < ($4, $5) AND e.created_at >= $6
        ORDER BY e.created_at DESC, e.event_id DESC LIMIT $7
    ) AS k
    ORDER BY k.created_at DESC, k.event_id DESC LIMIT $7
)
SELECT e.event_id, e.payment_id, e.body, e.api_version, e.created_at
FROM keys JOIN gateway.merchant_events AS e ON e.event_id = keys.event_id
ORDER BY e.created_at DESC, e.event_id DESC

-- name: page_of_object
-- The newest events of one object, of some types, before a place in time.
SELECT event_id, payment_id, body, api_version, created_at FROM gateway.merchant_events
WHERE merchant_id = $1 AND mode = $2 AND type = ANY ($3) AND (created_at, event_id) < ($4, $5) AND created_at >= $6
    AND object_id = $8
ORDER BY created_at DESC, event_id DESC LIMIT $7

-- name: get
-- One event of a merchant.
SELECT event_id, payment_id, body, api_version, created_at FROM gateway.merchant_events
WHERE event_id = $1 AND merchant_id = $2 AND mode = $3
