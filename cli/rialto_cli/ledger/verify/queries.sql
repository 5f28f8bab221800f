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
