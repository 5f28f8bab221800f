-- name: accounts
-- Every account with its stored totals, and when it or the first thing that happened on it was there.
SELECT
    a.id, a.code, a.type, a.currency, a.mode, a.debits_minor - a.credits_minor AS signed_minor,
    least(a.opened_at, f.first_at) AS begins_at
FROM ledger.accounts AS a
LEFT JOIN (
    SELECT p.account_id, min(e.effective_at) AS first_at
    FROM ledger.postings AS p JOIN ledger.journal_entries AS e ON e.id = p.entry_id GROUP BY p.account_id
) AS f ON f.account_id = a.id
ORDER BY a.id

-- name: last_instant
-- When the last thing happened or was opened; nothing is NULL.
SELECT greatest((SELECT max(effective_at) FROM ledger.journal_entries), (SELECT max(opened_at) FROM ledger.accounts))

-- name: count_entries
-- How many entries there are, roughly: what the statistics say.
SELECT sum(greatest(c.reltuples, 0))::BIGINT
FROM pg_partition_tree('ledger.journal_entries') AS t JOIN pg_class AS c ON c.oid = t.relid WHERE t.isleaf

-- name: entries
-- The whole journal in the order of ids, each entry with its postings.
SELECT
    e.id, e.kind, e.mode, e.shard, e.chain_position, e.merchant_id, e.payment_id, e.reverses, e.effective_at,
    e.recorded_at, e.metadata,
    ARRAY(
        SELECT jsonb_build_array(p.account_id, a.code, a.type, p.side, p.amount_minor::TEXT, p.currency)
        FROM ledger.postings AS p JOIN ledger.accounts AS a ON a.id = p.account_id
        WHERE p.entry_id = e.id ORDER BY p.line
    ) AS postings
FROM ledger.journal_entries AS e
ORDER BY e.id
