-- name: turnover
-- What was debited and credited on account $1 with effective_at <= $2 and recorded_at <= $3 (NULL: without limit).
-- All comes from one snapshot, so the totals and the postings counted against them belong together.
--
-- Up to an instant `settled`, recorded_at alone decides: everything recorded by then counts, as nothing has an
-- effective_at more than `lead` after its recorded_at. That part is the sum from the beginning, or the account's totals
-- less what came later, whichever is the shorter stretch of time at $4 (now). Only what was recorded after `settled`
-- needs a look at the entries, and mostly that is nothing.
WITH leads AS (
    SELECT coalesce(max(effective_at - recorded_at), INTERVAL '0') AS lead
    FROM ledger.journal_entries WHERE effective_at > recorded_at
), bounds AS (
    SELECT
        id, debits_minor, credits_minor, coalesce(least($2::TIMESTAMPTZ - lead, $3), 'infinity') AS settled,
        opened_at + ($4::TIMESTAMPTZ - opened_at) / 2 AS middle
    FROM ledger.accounts CROSS JOIN leads WHERE id = $1
), ways AS (
    SELECT
        id, settled, is_forwards, debits_minor, credits_minor,
        CASE WHEN is_forwards THEN '-infinity' ELSE settled END AS after,
        CASE WHEN is_forwards THEN settled ELSE 'infinity' END AS up_to
    FROM bounds
    -- Once months are archived, the totals are all there is of them.
    CROSS JOIN LATERAL (
        SELECT settled < middle AND NOT EXISTS (SELECT FROM ledger.archived_months) AS is_forwards
    ) AS way
)
SELECT
    CASE WHEN w.is_forwards THEN s.debits ELSE w.debits_minor - s.debits END + l.debits AS debits_minor,
    CASE WHEN w.is_forwards THEN s.credits ELSE w.credits_minor - s.credits END + l.credits AS credits_minor
FROM ways AS w
CROSS JOIN LATERAL (
    SELECT
        coalesce(sum(p.amount_minor) FILTER (WHERE p.side = 'debit'), 0) AS debits,
        coalesce(sum(p.amount_minor) FILTER (WHERE p.side = 'credit'), 0) AS credits
    FROM ledger.postings AS p
    WHERE p.account_id = w.id AND p.recorded_at > w.after AND p.recorded_at <= w.up_to
) AS s
CROSS JOIN LATERAL (
    SELECT
        coalesce(sum(p.amount_minor) FILTER (WHERE p.side = 'debit'), 0) AS debits,
        coalesce(sum(p.amount_minor) FILTER (WHERE p.side = 'credit'), 0) AS credits
    FROM ledger.postings AS p
    -- OFFSET 0 keeps it a look into the entries' primary key for each posting, also without statistics.
    CROSS JOIN LATERAL (SELECT effective_at FROM ledger.journal_entries WHERE id = p.entry_id OFFSET 0) AS e
    WHERE p.account_id = w.id AND p.recorded_at > w.settled AND p.recorded_at <= coalesce($3, 'infinity')
        AND e.effective_at <= $2
) AS l

-- name: period_turnover
-- What was debited and credited on account $1 with recorded_at in [$2, $3).
SELECT
    coalesce(sum(amount_minor) FILTER (WHERE side = 'debit'), 0) AS debits_minor,
    coalesce(sum(amount_minor) FILTER (WHERE side = 'credit'), 0) AS credits_minor
FROM ledger.postings WHERE account_id = $1 AND recorded_at >= $2 AND recorded_at < $3

-- name: lines
-- The $6 lines of account $1 after the place ($2, $3, $4) and before $5, as the index has them, with their entries.
SELECT p.recorded_at, p.entry_id, p.line, p.side, p.amount_minor, e.kind, e.payment_id, e.effective_at
FROM (
    SELECT recorded_at, entry_id, line, side, amount_minor FROM ledger.postings
    WHERE account_id = $1 AND (recorded_at, entry_id, line) > ($2, $3, $4) AND recorded_at < $5
    ORDER BY recorded_at, entry_id, line LIMIT $6
) AS p
CROSS JOIN LATERAL (SELECT kind, payment_id, effective_at FROM ledger.journal_entries WHERE id = p.entry_id OFFSET 0) AS e
ORDER BY p.recorded_at, p.entry_id, p.line

-- name: trial_balance
-- All accounts of mode $1 as recorded by $2 (NULL: now), summed by code without owner, type and currency. As for
-- one account, from the beginning or back from the totals, whichever is the shorter stretch of time at $3 (now).
WITH ways AS (
    SELECT
        coalesce($2::TIMESTAMPTZ < min(opened_at) + ($3::TIMESTAMPTZ - min(opened_at)) / 2, FALSE)
        AND NOT EXISTS (SELECT FROM ledger.archived_months) AS is_forwards
    FROM ledger.accounts
), sums AS (
    SELECT
        p.account_id,
        sum(p.amount_minor) FILTER (WHERE p.side = 'debit') AS debits,
        sum(p.amount_minor) FILTER (WHERE p.side = 'credit') AS credits
    FROM (
        SELECT account_id, side, amount_minor FROM ledger.postings
        WHERE (SELECT is_forwards FROM ways) AND recorded_at <= $2
        UNION ALL
        SELECT account_id, side, amount_minor FROM ledger.postings
        WHERE NOT (SELECT is_forwards FROM ways) AND recorded_at > $2
    ) AS p
    GROUP BY p.account_id
)
SELECT
    -- Cut by hand: a regular expression takes 15 microseconds an account.
    CASE
        WHEN a.code LIKE 'customer:%' OR a.code LIKE 'merchant:%'
            THEN split_part(a.code, ':', 1) || ':*'
                || substr(a.code, length(split_part(a.code, ':', 1)) + length(split_part(a.code, ':', 2)) + 2)
        ELSE a.code
    END COLLATE "C" AS account,
    a.type, a.currency,
    sum(CASE WHEN w.is_forwards THEN 0 ELSE a.debits_minor END)
    + sum(CASE WHEN w.is_forwards THEN 1 ELSE -1 END * coalesce(s.debits, 0)) AS debits_minor,
    sum(CASE WHEN w.is_forwards THEN 0 ELSE a.credits_minor END)
    + sum(CASE WHEN w.is_forwards THEN 1 ELSE -1 END * coalesce(s.credits, 0)) AS credits_minor
FROM ledger.accounts AS a
CROSS JOIN ways AS w
LEFT JOIN sums AS s ON s.account_id = a.id
WHERE a.mode = $1
GROUP BY 1, 2, 3
ORDER BY a.currency COLLATE "C", 1, 2

-- name: archived_until
-- When the last of the archived entries was recorded; NULL where none are archived.
SELECT max(last_recorded_at) AS archived_until FROM ledger.archived_months
