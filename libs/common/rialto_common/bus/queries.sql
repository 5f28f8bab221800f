-- name: append
-- Put a transaction's events into the log; the last statement before its commit.
SELECT bus.append(
    $1, bus.spread($2::TEXT[], cardinality($3::UUID[])), $3, bus.spread($4::TEXT[], cardinality($3)),
    bus.spread($5::TEXT[], cardinality($3)), $6, bus.spread($7::SMALLINT[], cardinality($3)),
    bus.spread($8::TIMESTAMPTZ[], cardinality($3)), $9, $10, bus.spread($11::TEXT[], cardinality($3)), $12, $13, $14
)

-- name: claim
-- Join or stay in a group and learn the partitions held.
SELECT topic, partition, reached FROM bus.claim($1, $2, $3, $4, $5)

-- name: acknowledge_and_read
-- Move the cursors of partitions that this member still holds; read the next $9 events of those in $6 to $8, the first
-- ones first.
WITH acknowledged AS (
    UPDATE bus.cursors AS c SET position = a.reached
    FROM unnest($3::TEXT[], $4::INT[], $5::BIGINT[]) AS a (topic, partition, reached)
    WHERE c.consumer_group = $1 AND c.owner = $2 AND c.topic = a.topic AND c.partition = a.partition
        AND c.position < a.reached
)
SELECT e.*
FROM unnest($6::TEXT[], $7::INT[], $8::BIGINT[]) AS held (topic, partition, reached)
CROSS JOIN LATERAL (
    SELECT l.topic, l.partition, l.position, l.event_id, l.source, l.type, l.key, l.shard, l.time, l.sequence,
        l.correlation_id, l.causation_id, l.traceparent, l.data
    FROM bus.log AS l
    WHERE l.topic = held.topic AND l.partition = held.partition AND l.position > held.reached
    ORDER BY l.position
    LIMIT $9
) AS e
LIMIT $9

-- name: acknowledge
-- Move the cursors of the partitions that this member still holds.
UPDATE bus.cursors AS c SET position = a.reached
FROM unnest($3::TEXT[], $4::INT[], $5::BIGINT[]) AS a (topic, partition, reached)
WHERE c.consumer_group = $1 AND c.owner = $2 AND c.topic = a.topic AND c.partition = a.partition
    AND c.position < a.reached

-- name: leave
-- Give the member's partitions back.
WITH gone AS (DELETE FROM bus.members WHERE consumer_group = $1 AND member = $2)
UPDATE bus.cursors SET owner = NULL, owned_until = NULL WHERE consumer_group = $1 AND owner = $2

-- name: rewind
-- Let a group start again; whoever holds its partitions must claim them anew.
UPDATE bus.cursors SET position = 0, owner = NULL, owned_until = NULL WHERE consumer_group = $1 AND topic = ANY ($2)

-- name: relay_register
-- Let there be a relay.
INSERT INTO bus.relays (relay) VALUES ($1) ON CONFLICT DO NOTHING

-- name: relay_register_topics
-- Say which topics a relay copies, and how many of their events may wait.
INSERT INTO bus.relayed (topic, relay, backlog_limit)
SELECT t.topic, $1, $3 FROM bus.topics AS t WHERE t.topic = ANY ($2)
ON CONFLICT ON CONSTRAINT relayed_pk DO UPDATE SET relay = excluded.relay, backlog_limit = excluded.backlog_limit

-- name: relay_renew
-- Keep a relay's lease; no row where it is another's by now.
UPDATE bus.relays SET renewals = renewals + 1 WHERE relay = $1 AND owner = $2 AND epoch = $3
RETURNING epoch

-- name: relay_lease
-- Who holds a relay's lease, and the signs of its life.
SELECT owner, epoch, renewals FROM bus.relays WHERE relay = $1

-- name: relay_take
-- Take a relay's lease that is free, or whose holder has shown no more signs of life than these.
UPDATE bus.relays SET owner = $2, epoch = epoch + 1
WHERE relay = $1 AND epoch = $3 AND renewals = $4
RETURNING epoch

-- name: relay_release
-- Give the lease back.
UPDATE bus.relays SET owner = NULL WHERE relay = $1 AND owner = $2 AND epoch = $3

-- name: relay_progress
-- How far each topic has been copied, over how many partitions, and what waits: how many events, since when.
SELECT r.topic, r.published, r.partitions, t.next_position - 1 - r.published AS waiting, (
    SELECT min(oldest.recorded_at)
    FROM generate_series(0, t.partitions - 1) AS p (partition)
    CROSS JOIN LATERAL (
        SELECT l.recorded_at FROM bus.log AS l
        WHERE l.topic = r.topic AND l.partition = p.partition AND l.position > r.published
        ORDER BY l.position LIMIT 1
    ) AS oldest
) AS oldest_at
FROM bus.relayed AS r JOIN bus.topics AS t ON t.topic = r.topic
WHERE r.relay = $1

-- name: relay_read
-- The next $3 events of each topic beyond what has been copied, in the order of their positions.
SELECT next.*
FROM unnest($1::TEXT[], $2::BIGINT[]) AS held (topic, published)
CROSS JOIN LATERAL (
    SELECT e.* FROM bus.topics AS t
    CROSS JOIN LATERAL generate_series(0, t.partitions - 1) AS p (partition)
    CROSS JOIN LATERAL (
        SELECT l.topic, l.partition, l.position, l.event_id, l.source, l.type, l.key, l.shard, l.time, l.sequence,
            l.correlation_id, l.causation_id, l.traceparent, l.data
        FROM bus.log AS l
        WHERE l.topic = held.topic AND l.partition = p.partition AND l.position > held.published
        ORDER BY l.position
        LIMIT $3
    ) AS e
    WHERE t.topic = held.topic
    ORDER BY e.position
    LIMIT $3
) AS next
ORDER BY next.topic, next.position

-- name: relay_advance
-- Remember what has been copied, and since when over how many partitions; nothing where the lease is another's by now.
WITH reached AS (
    SELECT a.topic, a.published, a.partitions
    FROM unnest($4::TEXT[], $5::BIGINT[], $6::INT[]) AS a (topic, published, partitions), bus.relays AS l
    WHERE l.relay = $1 AND l.owner = $2 AND l.epoch = $3
), spread AS (
    INSERT INTO bus.relayed_spreads (topic, after_position, partitions)
    SELECT r.topic, r.published, a.partitions
    FROM bus.relayed AS r JOIN reached AS a ON a.topic = r.topic
    WHERE r.partitions IS DISTINCT FROM a.partitions
    ON CONFLICT ON CONSTRAINT relayed_spreads_pk DO UPDATE SET partitions = excluded.partitions
)
UPDATE bus.relayed AS r SET published = a.published, partitions = a.partitions
FROM reached AS a
WHERE r.topic = a.topic
RETURNING r.topic

-- name: maintain
-- Create coming partitions, drop old ones.
SELECT bus.maintain($1, $2, $3)

-- name: take
-- Record events as handled and return those that were new.
INSERT INTO {schema}.inbox (event_id, source, handled_at)
SELECT e.event_id, e.source, $3 FROM unnest($1::UUID[], $2::TEXT[]) AS e (event_id, source)
ON CONFLICT DO NOTHING
RETURNING event_id, source

-- name: parked
-- Which keys are parked; locked, so that a replay and a live batch of the same key take turns.
SELECT key FROM {schema}.parked_keys WHERE consumer_group = $1 AND key = ANY ($2) ORDER BY key FOR UPDATE

-- name: park_key
-- Park a key.
INSERT INTO {schema}.parked_keys (consumer_group, key, parked_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING

-- name: park_event
-- Set an event aside under its key.
INSERT INTO {schema}.dead_letters (
    consumer_group, key, parked_at, error, event_id, source, type, topic, shard, time, event_sequence, correlation_id,
    causation_id, traceparent, data
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)

-- name: to_replay
-- A key whose replay was asked for.
SELECT key FROM {schema}.parked_keys
WHERE consumer_group = $1 AND replay_requested ORDER BY parked_at, key LIMIT 1 FOR UPDATE SKIP LOCKED

-- name: of_key
-- What is parked under a key, in order.
SELECT event_id, source, type, topic, key, shard, time, event_sequence AS sequence, correlation_id, causation_id, traceparent,
    data, dead_letters.sequence AS letter, error
FROM {schema}.dead_letters WHERE consumer_group = $1 AND key = $2 ORDER BY dead_letters.sequence

-- name: release_events
-- Forget what was parked under a key.
DELETE FROM {schema}.dead_letters WHERE consumer_group = $1 AND key = $2

-- name: release_key
-- Forget the key.
DELETE FROM {schema}.parked_keys WHERE consumer_group = $1 AND key = $2

-- name: keep_key
-- A replay failed: wait to be asked again.
UPDATE {schema}.parked_keys SET replay_requested = FALSE WHERE consumer_group = $1 AND key = $2

-- name: keep_error
-- A replay failed: the first event carries the newest error.
UPDATE {schema}.dead_letters SET error = $3
WHERE consumer_group = $1 AND key = $2 AND sequence = (
    SELECT min(sequence) FROM {schema}.dead_letters WHERE consumer_group = $1 AND key = $2
)

-- name: request_replay
-- Ask for the replay of one key or all.
UPDATE {schema}.parked_keys SET replay_requested = TRUE
WHERE (consumer_group = $1 OR $1 IS NULL) AND (key = $2 OR $2 IS NULL)
RETURNING key

-- name: overview
-- One row a parked key.
SELECT p.consumer_group, p.key, p.parked_at, p.replay_requested, d.topic, d.type, d.event_id, d.error, n.events
FROM {schema}.parked_keys AS p
CROSS JOIN LATERAL (
    SELECT topic, type, event_id, error FROM {schema}.dead_letters AS d
    WHERE d.consumer_group = p.consumer_group AND d.key = p.key ORDER BY d.sequence LIMIT 1
) AS d
CROSS JOIN LATERAL (
    SELECT count(*) AS events FROM {schema}.dead_letters AS d
    WHERE d.consumer_group = p.consumer_group AND d.key = p.key
) AS n
ORDER BY p.parked_at, p.key
LIMIT 1000
