-- name: blocks
-- Every block in order, with what it seals of each shard.
SELECT
    b.number, b.sealed_at, b.previous, b.super_root,
    ARRAY(
        SELECT
            jsonb_build_array(
                s.shard, s.first_position, s.last_position, encode(s.last_hash, 'hex'), encode(s.root, 'hex')
            )
        FROM ledger.block_shards AS s WHERE s.block = b.number ORDER BY s.shard
    ) AS shards
FROM ledger.blocks AS b
ORDER BY b.number

-- name: entries
-- The whole journal in the order of its chains, with the postings of each entry. One without a place comes last.
SELECT
    e.shard, e.chain_position, e.hash, e.id, e.kind, e.mode, e.merchant_id, e.payment_id, e.reverses, e.effective_at,
    e.recorded_at, e.metadata,
    ARRAY(
        SELECT jsonb_build_array(p.account_id, p.side, p.amount_minor::TEXT, p.currency)
        FROM ledger.postings AS p WHERE p.entry_id = e.id ORDER BY p.line
    ) AS postings
FROM ledger.journal_entries AS e
ORDER BY e.shard, e.chain_position NULLS LAST, e.id

-- name: archived
-- The links of the entries that were archived, in the order of the chains.
SELECT shard, chain_position, hash FROM ledger.archived_links ORDER BY shard, chain_position

-- name: month
-- The entries with ids of a time in the order of the chains, as in `entries`.
SELECT
    e.shard, e.chain_position, e.hash, e.id, e.kind, e.mode, e.merchant_id, e.payment_id, e.reverses, e.effective_at,
    e.recorded_at, e.metadata,
    ARRAY(
        SELECT jsonb_build_array(p.account_id, p.side, p.amount_minor::TEXT, p.currency)
        FROM ledger.postings AS p WHERE p.entry_id = e.id ORDER BY p.line
    ) AS postings
FROM ledger.journal_entries AS e
WHERE e.id >= bus.uuid_floor(%(begins)s) AND e.id < bus.uuid_floor(%(ends)s)
ORDER BY e.shard, e.chain_position, e.id

-- name: month_links
-- The links of the same entries, each with the one before it in its chain; none before the first.
SELECT e.shard, e.chain_position, e.hash, p.hash AS previous
FROM ledger.journal_entries AS e
LEFT JOIN ledger.chain_links AS p ON p.shard = e.shard AND p.chain_position = e.chain_position - 1
WHERE e.id >= bus.uuid_floor(%(begins)s) AND e.id < bus.uuid_floor(%(ends)s)
ORDER BY e.shard, e.chain_position, e.id
