-- name: try_to_seal
-- Whether nobody else is sealing; until the transaction ends nobody else is.
SELECT pg_try_advisory_xact_lock(hashtextextended('ledger.sealer', 0))

-- name: last_block
-- The newest block's number and super-root.
SELECT number, super_root FROM ledger.blocks ORDER BY number DESC LIMIT 1

-- name: growth
-- What the chains have grown by since the newest block, and when the first entry of each such growth was written. One
-- that is gone counts as very old, so that its absence is noticed.
SELECT g.shard, g.sealed_position, g.position, coalesce(e.recorded_at, 'epoch') AS recorded_at
FROM ledger.chain_growth AS g
LEFT JOIN LATERAL (
    SELECT recorded_at FROM ledger.journal_entries WHERE shard = g.shard AND chain_position = g.sealed_position + 1
) AS e ON TRUE
WHERE g.position > g.sealed_position
ORDER BY g.shard

-- name: links
-- The links of these ranges of positions, in order.
SELECT c.shard, c.chain_position, c.entry_id, c.hash
FROM unnest($1::SMALLINT[], $2::BIGINT[], $3::BIGINT[]) AS r (shard, first_position, last_position)
JOIN ledger.chain_links AS c ON c.shard = r.shard AND c.chain_position BETWEEN r.first_position AND r.last_position
ORDER BY c.shard, c.chain_position

-- name: add_block
-- Append a block with what it seals of each shard.
WITH block AS (
    INSERT INTO ledger.blocks (number, sealed_at, previous, super_root) VALUES ($1, $2, $3, $4)
)
INSERT INTO ledger.block_shards (block, shard, first_position, last_position, last_hash, root)
SELECT $1, s.shard, s.first_position, s.last_position, s.last_hash, s.root
FROM unnest($5::SMALLINT[], $6::BIGINT[], $7::BIGINT[], $8::BYTEA[], $9::BYTEA[])
AS s (shard, first_position, last_position, last_hash, root)

-- name: place
-- An entry's place in its chain.
SELECT shard, chain_position, id AS entry_id, hash FROM ledger.journal_entries
WHERE id = $1 AND chain_position IS NOT NULL

-- name: block_of
-- The number of the block that seals a position of a shard.
SELECT block FROM ledger.block_shards
WHERE shard = $1 AND first_position <= $2 AND last_position >= $2 ORDER BY first_position DESC LIMIT 1

-- name: blocks
-- Blocks after number $1, at most $2, with a row for each shard that one seals something of.
SELECT
    b.number, b.sealed_at, b.previous, b.super_root, s.shard, s.first_position, s.last_position, s.last_hash, s.root
FROM (SELECT number, sealed_at, previous, super_root FROM ledger.blocks WHERE number > $1 ORDER BY number LIMIT $2) AS b
JOIN ledger.block_shards AS s ON s.block = b.number
ORDER BY b.number, s.shard

-- name: prepare_months
-- Make the partitions of the instant's month and of the next ones.
SELECT ledger.prepare_months($1, $2)

-- name: give_up_soon
-- Wait for a table's lock for so long at most, until the transaction ends.
SELECT set_config('lock_timeout', $1, TRUE)
