-- name: totals_by_day
-- What the journal has of a day for each merchant, by effective_at: captures and refunds of payments, and settlements
-- that stand. A refund is what its wallet or acquirer was credited, as one at an acquirer was taken from the merchant
-- before it was known to succeed.
-- By entry and not by one join, so that a day costs what its entries do, however many there are in all.
SELECT e.merchant_id, e.mode, x.currency, x.kind, sum(x.amount_minor) AS amount_minor, count(*) AS count
FROM ledger.journal_entries AS e
CROSS JOIN LATERAL (
    SELECT
        p.currency, CASE e.kind WHEN 'capture' THEN 'captured' WHEN 'refund' THEN 'refunded' ELSE 'settled' END AS kind,
        sum(p.amount_minor) AS amount_minor
    FROM ledger.postings AS p JOIN ledger.accounts AS a ON a.id = p.account_id
    WHERE p.entry_id = e.id AND CASE e.kind
        WHEN 'refund' THEN p.side = 'credit'
        ELSE a.merchant_id = e.merchant_id AND a.code LIKE 'merchant:%:payable'
            AND p.side = CASE e.kind WHEN 'capture' THEN 'credit' ELSE 'debit' END
    END
    GROUP BY p.currency
) AS x
WHERE e.effective_at >= $1 AND e.effective_at < $2 AND e.payment_id IS NOT NULL AND (
    e.kind IN ('capture', 'refund')
    -- Not EXISTS, which may be planned as a hash of all settlements.
    OR (e.kind = 'chain_settlement' AND e.id = (
        SELECT s.entry_id FROM ledger.settlements AS s WHERE s.payment_id = e.payment_id AND s.status = 'posted'
    ))
)
GROUP BY e.merchant_id, e.mode, x.currency, x.kind

-- name: keep_reported
-- What others have told; an older revision never goes over a newer.
INSERT INTO ledger.reported_totals (source, merchant_id, mode, currency, day, revision, totals, received_at)
SELECT r.source, r.merchant_id, r.mode, r.currency, r.day, r.revision, r.totals::JSONB, $8
FROM unnest($1::TEXT[], $2::UUID[], $3::TEXT[], $4::TEXT[], $5::DATE[], $6::INT[], $7::TEXT[])
AS r (source, merchant_id, mode, currency, day, revision, totals)
ORDER BY r.day, r.source, r.merchant_id, r.mode, r.currency
ON CONFLICT ON CONSTRAINT reported_totals_pk DO UPDATE
SET revision = excluded.revision, totals = excluded.totals, received_at = excluded.received_at
WHERE reported_totals.revision < excluded.revision

-- name: reported
-- What others have told of a day.
SELECT source, merchant_id, mode, currency, day, totals, received_at FROM ledger.reported_totals WHERE day = $1

-- name: lock_differences
-- A day's differences, kept from being explained meanwhile.
SELECT
    id, merchant_id, mode, currency, day, kind, source, ours_minor, ours_count, theirs_minor, theirs_count, reason,
    state, first_seen_at, last_seen_at, note, explained_by
FROM ledger.differences WHERE day = $1 ORDER BY id FOR UPDATE

-- name: keep_differences
-- Differences as they are now.
INSERT INTO ledger.differences (
    id, merchant_id, mode, currency, day, kind, source, ours_minor, ours_count, theirs_minor, theirs_count, reason,
    state, first_seen_at, last_seen_at, note, explained_by
)
SELECT
    d.id, d.merchant_id, d.mode, d.currency, d.day, d.kind, d.source, d.ours_minor::NUMERIC, d.ours_count,
    d.theirs_minor::NUMERIC, d.theirs_count, d.reason, d.state, d.first_seen_at, d.last_seen_at, d.note, d.explained_by
FROM unnest(
    $1::UUID[], $2::UUID[], $3::TEXT[], $4::TEXT[], $5::DATE[], $6::TEXT[], $7::TEXT[], $8::TEXT[], $9::BIGINT[],
    $10::TEXT[], $11::BIGINT[], $12::TEXT[], $13::TEXT[], $14::TIMESTAMPTZ[], $15::TIMESTAMPTZ[], $16::TEXT[],
    $17::TEXT[]
) AS d (
    id, merchant_id, mode, currency, day, kind, source, ours_minor, ours_count, theirs_minor, theirs_count, reason,
    state, first_seen_at, last_seen_at, note, explained_by
)
ON CONFLICT ON CONSTRAINT differences_pk DO UPDATE
SET ours_minor = excluded.ours_minor, ours_count = excluded.ours_count, theirs_minor = excluded.theirs_minor,
    theirs_count = excluded.theirs_count, reason = excluded.reason, state = excluded.state,
    first_seen_at = excluded.first_seen_at, last_seen_at = excluded.last_seen_at, note = excluded.note,
    explained_by = excluded.explained_by

-- name: differences
-- Differences of a mode, the longest standing first; $2 null for those in every state.
SELECT
    id, merchant_id, mode, currency, day, kind, source, ours_minor, ours_count, theirs_minor, theirs_count, reason,
    state, first_seen_at, last_seen_at, note, explained_by
FROM ledger.differences WHERE mode = $1 AND (state = $2 OR $2 IS NULL)
ORDER BY first_seen_at, id LIMIT $3

-- name: difference
-- One difference.
SELECT
    id, merchant_id, mode, currency, day, kind, source, ours_minor, ours_count, theirs_minor, theirs_count, reason,
    state, first_seen_at, last_seen_at, note, explained_by
FROM ledger.differences WHERE id = $1 AND mode = $2

-- name: explain
-- A person says why the two differ; what is resolved needs no reason.
UPDATE ledger.differences SET state = 'explained', note = $3, explained_by = $4
WHERE id = $1 AND mode = $2 AND state <> 'resolved'
RETURNING id

-- name: open_differences
-- How many are open, and since when.
SELECT kind, reason, count(*) AS count, min(first_seen_at) AS since
FROM ledger.differences WHERE state = 'open' GROUP BY kind, reason
