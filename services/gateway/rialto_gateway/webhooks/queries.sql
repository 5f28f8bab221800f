-- name: enqueue
-- An event a message, and a delivery a message and matching endpoint. An endpoint's delivery has an id that is the same
-- for every retry, with the event's time in front.
WITH m AS MATERIALIZED (
    SELECT t.* FROM unnest($2::UUID[], $3::UUID[], $4::TEXT[], $5::UUID[], $6::BIGINT[], $7::TEXT[], $8::TEXT[])
    AS t (event_id, merchant_id, mode, payment_id, sequence, type, body)
), told AS (
    INSERT INTO gateway.merchant_events (
        event_id, merchant_id, mode, type, object_id, payment_id, sequence, body, created_at, api_version
    )
    SELECT event_id, merchant_id, mode, type, payment_id, payment_id, sequence, body, $1, $9 FROM m
)
INSERT INTO gateway.webhook_deliveries (
    delivery_id, endpoint_id, payment_id, event, event_id, line, place, state, next_attempt_at, created_at
)
SELECT
    (left(replace(m.event_id::TEXT, '-', ''), 12) || right(md5(m.event_id::TEXT || w.endpoint_id::TEXT), 20))::UUID,
    w.endpoint_id, m.payment_id, m.type, m.event_id, m.payment_id, m.sequence, 'pending', $1, $1
FROM m JOIN gateway.webhook_endpoints AS w
    ON w.merchant_id = m.merchant_id AND w.mode = m.mode AND w.deleted_at IS NULL AND w.disabled_at IS NULL
    AND (w.events = '{}' OR m.type = ANY (w.events) OR split_part(m.type, '.', 1) || '.*' = ANY (w.events))

-- name: hold_due
-- Up to $3 endpoints after $2 that have something due and are not left alone, held against other gateways. Endpoints
-- with something in line are found by going from one to the next in the index of what is due, whatever waits in each.
-- No ORDER BY, which would look at all of them before the first: they come in the order they are found in.
WITH RECURSIVE lined_up AS (
    (
        SELECT endpoint_id FROM gateway.webhook_deliveries
        WHERE next_attempt_at IS NOT NULL AND endpoint_id > $2 ORDER BY endpoint_id LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT d.endpoint_id FROM gateway.webhook_deliveries AS d
        WHERE d.next_attempt_at IS NOT NULL AND d.endpoint_id > l.endpoint_id ORDER BY d.endpoint_id LIMIT 1
    )
    FROM lined_up AS l WHERE l.endpoint_id IS NOT NULL
)
SELECT h.*
FROM lined_up AS l
-- A part of its own, as it locks: so each is looked up by itself, and none beyond those that are wanted.
CROSS JOIN LATERAL (
    SELECT
        b.endpoint_id, b.state, b.failures, b.trips, b.width, b.opened_at, b.probe_at, w.deleted_at,
        (
            SELECT count(*) FROM gateway.webhook_deliveries AS d
            WHERE d.endpoint_id = b.endpoint_id AND d.state = 'sending' AND d.next_attempt_at > $1
        ) AS under_way
    FROM gateway.webhook_breakers AS b JOIN gateway.webhook_endpoints AS w ON w.endpoint_id = b.endpoint_id
    WHERE b.endpoint_id = l.endpoint_id
        AND (w.deleted_at IS NOT NULL OR (w.disabled_at IS NULL AND (b.probe_at IS NULL OR b.probe_at <= $1)))
        AND EXISTS (
            SELECT FROM gateway.webhook_deliveries AS d
            WHERE d.endpoint_id = b.endpoint_id AND d.next_attempt_at <= $1
        )
    FOR NO KEY UPDATE OF b SKIP LOCKED
) AS h
LIMIT $3

-- name: claim
-- For endpoints that are held, so many deliveries each that are due and the first of their lines, with a new attempt;
-- due again only after the lease, should this process die. What became of an attempt whose process died is not known.
-- Those behind another are put aside until their turn, so that no look meets them twice. Ids go on as arrays: from a
-- join the planner expects more rows than come, and reads whole tables.
WITH looked_at AS MATERIALIZED (
    SELECT r.endpoint_id, r.places, d.delivery_id, d.next_attempt_at, d.behind
    FROM unnest($3::UUID[], $4::INT[]) AS r (endpoint_id, places)
    CROSS JOIN LATERAL (
        SELECT
            c.delivery_id, c.next_attempt_at,
            EXISTS (
                SELECT FROM gateway.webhook_deliveries AS e
                WHERE e.endpoint_id = c.endpoint_id AND e.line = c.line AND e.place < c.place
                    AND e.state IN ('pending', 'waiting', 'sending')
            ) AS behind
        FROM gateway.webhook_deliveries AS c
        WHERE c.endpoint_id = r.endpoint_id AND c.next_attempt_at <= $1
        ORDER BY c.next_attempt_at LIMIT 32
    ) AS d
), put_aside AS (
    UPDATE gateway.webhook_deliveries AS d SET state = 'waiting', next_attempt_at = NULL
    WHERE d.delivery_id = ANY (ARRAY(SELECT delivery_id FROM looked_at WHERE behind)) AND d.state = 'pending'
), due AS (
    SELECT f.delivery_id FROM (
        SELECT
            l.delivery_id, l.places,
            row_number() OVER (PARTITION BY l.endpoint_id ORDER BY l.next_attempt_at, l.delivery_id) AS nth
        FROM looked_at AS l WHERE NOT l.behind
    ) AS f WHERE f.nth <= f.places
), started AS (
    UPDATE gateway.webhook_deliveries AS d SET attempts = d.attempts + 1, state = 'sending', next_attempt_at = $2
    WHERE d.delivery_id = ANY (ARRAY(SELECT delivery_id FROM due)) AND d.next_attempt_at <= $1
    RETURNING
        d.delivery_id, d.message_id, d.endpoint_id, d.event_id, d.body, d.api_version, d.attempts, d.earlier_attempts,
        d.created_at
), lost AS (
    UPDATE gateway.webhook_attempts AS a SET state = 'unknown', error = 'interrupted'
    WHERE a.delivery_id = ANY (ARRAY(SELECT delivery_id FROM started)) AND a.state = 'started'
), logged AS (
    INSERT INTO gateway.webhook_attempts (delivery_id, nth, started_at, state)
    SELECT delivery_id, attempts, $1, 'started' FROM started
)
SELECT
    s.delivery_id, s.message_id, s.attempts, s.earlier_attempts, s.created_at, coalesce(s.body, e.body) AS body,
    CASE WHEN s.body IS NULL THEN e.api_version ELSE s.api_version END AS written,
    w.endpoint_id, w.url, w.secret, w.previous_secret, w.previous_secret_until, w.api_version
FROM started AS s
JOIN gateway.webhook_endpoints AS w ON w.endpoint_id = s.endpoint_id
LEFT JOIN gateway.merchant_events AS e ON e.event_id = s.event_id

-- name: hold
-- These endpoints' breakers, held until the transaction ends; in id order, so that no two wait for each other.
SELECT endpoint_id, state, failures, trips, width, opened_at, probe_at FROM gateway.webhook_breakers
WHERE endpoint_id = ANY ($1) ORDER BY endpoint_id FOR NO KEY UPDATE

-- name: finish_attempts
-- What became of attempts.
UPDATE gateway.webhook_attempts AS a
SET state = f.state, status = f.status, error = f.error, duration_ms = f.duration_ms, response = f.response
FROM unnest($1::UUID[], $2::INT[], $3::TEXT[], $4::INT[], $5::TEXT[], $6::INT[], $7::BYTEA[])
AS f (delivery_id, nth, state, status, error, duration_ms, response)
WHERE a.delivery_id = f.delivery_id AND a.nth = f.nth

-- name: finish_deliveries
-- What becomes of deliveries: delivered, given up, or due again; not of those that have had another attempt since.
WITH f AS (
    SELECT t.* FROM unnest($1::UUID[], $2::INT[], $3::TEXT[], $4::TIMESTAMPTZ[])
    AS t (delivery_id, nth, state, again)
)
UPDATE gateway.webhook_deliveries AS d SET state = f.state, next_attempt_at = f.again
FROM f WHERE d.delivery_id = f.delivery_id AND d.attempts = f.nth AND d.state = 'sending'
RETURNING d.endpoint_id, d.line, d.state

-- name: give_up
-- End what is due to endpoints that are held and were deleted.
WITH due AS (
    SELECT d.delivery_id FROM gateway.webhook_deliveries AS d
    WHERE d.endpoint_id = ANY ($1) AND d.next_attempt_at <= $2 LIMIT $3
), lost AS (
    UPDATE gateway.webhook_attempts AS a SET state = 'unknown', error = 'interrupted'
    FROM due WHERE a.delivery_id = due.delivery_id AND a.state = 'started'
)
UPDATE gateway.webhook_deliveries AS d SET state = 'given_up', next_attempt_at = NULL
FROM due WHERE d.delivery_id = due.delivery_id
RETURNING d.endpoint_id, d.line

-- name: move_on
-- Make what is first in these lines now due, where it was put aside.
UPDATE gateway.webhook_deliveries AS d SET state = 'pending', next_attempt_at = $1
FROM unnest($2::UUID[], $3::UUID[]) AS l (endpoint_id, line)
CROSS JOIN LATERAL (
    SELECT c.delivery_id FROM gateway.webhook_deliveries AS c
    WHERE c.endpoint_id = l.endpoint_id AND c.line = l.line AND c.state IN ('pending', 'waiting', 'sending')
    ORDER BY c.place LIMIT 1
) AS f
WHERE d.delivery_id = f.delivery_id AND d.state = 'waiting'

-- name: save_breakers
-- How endpoints fare now.
UPDATE gateway.webhook_breakers AS b
SET state = n.state, failures = n.failures, trips = n.trips, width = n.width, opened_at = n.opened_at,
    probe_at = n.probe_at
FROM unnest($1::UUID[], $2::TEXT[], $3::INT[], $4::INT[], $5::INT[], $6::TIMESTAMPTZ[], $7::TIMESTAMPTZ[])
AS n (endpoint_id, state, failures, trips, width, opened_at, probe_at)
WHERE b.endpoint_id = n.endpoint_id

-- name: open_breakers
-- How many endpoints are left alone just now.
SELECT count(*) FROM gateway.webhook_breakers WHERE state <> 'closed'

-- name: sweep_deliveries
-- Forget deliveries at their end from before a time, with their attempts; ids start with the time of their event's
-- payment, which is never after the delivery's own.
WITH old AS (
    SELECT delivery_id FROM gateway.webhook_deliveries
    WHERE delivery_id < $1 AND created_at < $2 AND state IN ('delivered', 'given_up')
    ORDER BY delivery_id LIMIT $3 FOR UPDATE SKIP LOCKED
), attempts AS (
    DELETE FROM gateway.webhook_attempts AS a USING old WHERE a.delivery_id = old.delivery_id
)
DELETE FROM gateway.webhook_deliveries AS d USING old WHERE d.delivery_id = old.delivery_id

-- name: sweep_events
-- Forget events from before a time that are in no line any more.
WITH old AS (
    SELECT e.event_id FROM gateway.merchant_events AS e
    WHERE e.event_id < $1 AND e.created_at < $2
        AND NOT EXISTS (
            SELECT FROM gateway.webhook_endpoints AS w
            JOIN gateway.webhook_deliveries AS d ON d.endpoint_id = w.endpoint_id
            WHERE w.merchant_id = e.merchant_id AND w.mode = e.mode AND d.line = e.payment_id
                AND d.state IN ('pending', 'waiting', 'sending')
        )
    ORDER BY e.event_id LIMIT $3
)
DELETE FROM gateway.merchant_events AS e USING old WHERE e.event_id = old.event_id

-- name: add_endpoint
-- A new endpoint, with a closed breaker.
WITH added AS (
    INSERT INTO gateway.webhook_endpoints (
        endpoint_id, merchant_id, mode, url, events, secret, created_at, api_version
    )
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
)
INSERT INTO gateway.webhook_breakers (endpoint_id) VALUES ($1)

-- name: list_endpoints
-- A merchant's endpoints, and how they fare; or one of them.
SELECT
    w.endpoint_id, w.url, w.events, w.api_version, w.created_at, w.updated_at, w.disabled_at, w.previous_secret_until,
    b.state, b.failures, b.opened_at, b.probe_at
FROM gateway.webhook_endpoints AS w JOIN gateway.webhook_breakers AS b ON b.endpoint_id = w.endpoint_id
WHERE w.merchant_id = $1 AND w.mode = $2 AND w.deleted_at IS NULL AND ($3::UUID IS NULL OR w.endpoint_id = $3)
ORDER BY w.endpoint_id

-- name: change_endpoint
-- What an endpoint is to be: where a value is null, it stays.
UPDATE gateway.webhook_endpoints
SET url = coalesce($4, url), events = coalesce($5, events), api_version = coalesce($8, api_version), updated_at = $7,
    disabled_at = CASE WHEN $6::BOOLEAN THEN NULL WHEN NOT $6 THEN coalesce(disabled_at, $7) ELSE disabled_at END
WHERE endpoint_id = $1 AND merchant_id = $2 AND mode = $3 AND deleted_at IS NULL

-- name: reset_breaker
-- Treat an endpoint as one that nothing is known of.
UPDATE gateway.webhook_breakers
SET state = 'closed', failures = 0, trips = 0, width = 1, opened_at = NULL, probe_at = NULL WHERE endpoint_id = $1

-- name: rotate_secret
-- A new secret; the one before signs too, until a time.
UPDATE gateway.webhook_endpoints
SET secret = $4, updated_at = $6,
    previous_secret = CASE WHEN $5::TIMESTAMPTZ IS NULL THEN NULL ELSE secret END, previous_secret_until = $5
WHERE endpoint_id = $1 AND merchant_id = $2 AND mode = $3 AND deleted_at IS NULL

-- name: delete_endpoint
-- Stop sending to an endpoint.
UPDATE gateway.webhook_endpoints SET deleted_at = $4
WHERE endpoint_id = $1 AND merchant_id = $2 AND mode = $3 AND deleted_at IS NULL

-- name: deliveries
-- An endpoint's deliveries before a place in time, newest first, each with its last attempt.
SELECT d.*, a.status AS last_status, a.error AS last_error
FROM (
    SELECT
        c.delivery_id, c.endpoint_id, c.event_id, c.message_id, c.payment_id, c.event, c.state, c.attempts, c.test,
        c.next_attempt_at, c.created_at
    FROM gateway.webhook_deliveries AS c
    WHERE c.endpoint_id = $1 AND (c.created_at, c.delivery_id) < ($2, $3) AND ($4::TEXT IS NULL OR c.state = $4)
    ORDER BY c.created_at DESC, c.delivery_id DESC LIMIT $5
) AS d
LEFT JOIN gateway.webhook_attempts AS a ON a.delivery_id = d.delivery_id AND a.nth = d.attempts
ORDER BY d.created_at DESC, d.delivery_id DESC

-- name: delivery
-- One delivery to an endpoint, with what was sent.
SELECT
    d.delivery_id, d.endpoint_id, d.event_id, d.message_id, d.payment_id, d.event, d.state, d.attempts, d.test,
    d.next_attempt_at, d.created_at, coalesce(d.body, e.body) AS body, a.status AS last_status, a.error AS last_error,
    CASE WHEN d.body IS NULL THEN e.api_version ELSE d.api_version END AS written
FROM gateway.webhook_deliveries AS d
LEFT JOIN gateway.merchant_events AS e ON e.event_id = d.event_id
LEFT JOIN gateway.webhook_attempts AS a ON a.delivery_id = d.delivery_id AND a.nth = d.attempts
WHERE d.delivery_id = $1 AND d.endpoint_id = $2

-- name: attempts
-- The newest attempts of a delivery.
SELECT nth, started_at, state, status, error, duration_ms, response FROM gateway.webhook_attempts
WHERE delivery_id = $1 ORDER BY nth DESC LIMIT 100

-- name: redeliver
-- Put deliveries in line once more, each with a full course of retries. One at its end goes in a line of its own, in
-- order with those of its payment that are sent again with it; one that waits for its next attempt has it now.
WITH chosen AS (
    SELECT
        d.delivery_id, coalesce(d.body, e.body) AS body,
        CASE WHEN d.body IS NULL THEN e.api_version ELSE d.api_version END AS written
    FROM gateway.webhook_deliveries AS d LEFT JOIN gateway.merchant_events AS e ON e.event_id = d.event_id
    WHERE d.endpoint_id = $1 AND d.delivery_id = ANY ($2) AND d.state IN ('pending', 'delivered', 'given_up')
    ORDER BY d.delivery_id FOR NO KEY UPDATE OF d
)
UPDATE gateway.webhook_deliveries AS d
SET state = 'pending', next_attempt_at = $3, body = c.body, api_version = c.written, earlier_attempts = d.attempts,
    line = CASE WHEN d.state = 'pending' THEN d.line ELSE md5(d.payment_id::TEXT || $4::UUID::TEXT)::UUID END
FROM chosen AS c
WHERE d.delivery_id = c.delivery_id AND d.state IN ('pending', 'delivered', 'given_up') AND c.body IS NOT NULL
RETURNING d.delivery_id

-- name: range_to_redeliver
-- An endpoint's deliveries of a state and a range of time, the oldest first.
SELECT delivery_id FROM gateway.webhook_deliveries
WHERE endpoint_id = $1 AND created_at >= $2 AND created_at < $3 AND state = $4 AND NOT test
ORDER BY created_at, delivery_id LIMIT $5

-- name: add_tests
-- Deliveries to try an endpoint with: they are of no event.
INSERT INTO gateway.webhook_deliveries (
    delivery_id, endpoint_id, payment_id, event, message_id, body, line, place, test, state, next_attempt_at, created_at,
    api_version
)
SELECT t.delivery_id, $2, $3, t.event, t.message_id, t.body, $3, t.place, TRUE, 'pending', $1, $1, $9
FROM unnest($4::UUID[], $5::TEXT[], $6::UUID[], $7::TEXT[], $8::BIGINT[])
AS t (delivery_id, event, message_id, body, place)
