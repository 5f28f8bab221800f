-- name: spans
-- What each partition holds: positions are a topic's, so a partition has gaps.
SELECT t.topic, p AS partition, coalesce(f.position, t.next_position) AS first, t.next_position AS end
FROM bus.topics AS t
CROSS JOIN generate_series(0, t.partitions - 1) AS p
LEFT JOIN LATERAL (
    SELECT l.position FROM bus.log AS l WHERE l.topic = t.topic AND l.partition = p ORDER BY l.position LIMIT 1
) AS f ON TRUE
WHERE t.topic = ANY ($1)

-- name: since
-- The first position of each partition that was recorded at $1 or later.
SELECT topic, partition, min(position) AS position FROM bus.log WHERE recorded_at >= $1 GROUP BY topic, partition

-- name: read
-- Up to $9 wanted events of one partition.
SELECT topic, partition, position, recorded_at, event_id, source, type, key, shard, time, sequence, correlation_id,
    causation_id, traceparent, data
FROM bus.log
WHERE topic = $1 AND partition = $2 AND position >= $3 AND position < $4
    AND ($5::TEXT[] IS NULL OR type = ANY ($5))
    AND ($6::TEXT IS NULL OR key = $6 OR correlation_id = $6)
    AND ($7::INT IS NULL OR (shard = $7 AND strpos(data::TEXT, $8) > 0))
ORDER BY position
LIMIT $9

-- name: follow
-- The next $4 events of all partitions, the oldest of each first.
SELECT e.*
FROM unnest($1::TEXT[], $2::INT[], $3::BIGINT[]) AS held (topic, partition, start)
CROSS JOIN LATERAL (
    SELECT l.topic, l.partition, l.position, l.recorded_at, l.event_id, l.source, l.type, l.key, l.shard, l.time,
        l.sequence, l.correlation_id, l.causation_id, l.traceparent, l.data
    FROM bus.log AS l
    WHERE l.topic = held.topic AND l.partition = held.partition AND l.position >= held.start
    ORDER BY l.position
    LIMIT $4
) AS e
ORDER BY e.topic, e.partition, e.position
