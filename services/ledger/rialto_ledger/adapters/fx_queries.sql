-- name: add_rates
-- Keep published rates that are not on record yet.
INSERT INTO ledger.fx_rates (source, currency, per_euro, observed_at, recorded_at)
SELECT r.source, r.currency, r.per_euro, r.observed_at, $5
FROM unnest($1::TEXT[], $2::TEXT[], $3::NUMERIC[], $4::TIMESTAMPTZ[]) AS r (source, currency, per_euro, observed_at)
ON CONFLICT ON CONSTRAINT fx_rates_pk DO NOTHING
RETURNING currency

-- name: latest_rates
-- A source's newest rate of each currency asked for; of two of one time the one recorded later.
SELECT r.currency, r.per_euro, r.source, r.observed_at
FROM unnest($2::TEXT[]) AS asked (currency)
CROSS JOIN LATERAL (
    SELECT currency, per_euro, source, observed_at
    FROM ledger.fx_rates
    WHERE source = $1 AND currency = asked.currency
    ORDER BY observed_at DESC, recorded_at DESC
    LIMIT 1
) AS r

-- name: add_quote
-- Keep a new quote.
INSERT INTO ledger.fx_quotes (
    id, merchant_id, mode, sell_currency, sell_amount_minor, buy_currency, buy_amount_minor, sell_per_euro, sell_source,
    sell_observed_at, buy_per_euro, buy_source, buy_observed_at, spread_bps, quoted_at, expires_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)

-- name: quote
-- A quote, and the entry that used it.
SELECT
    q.id, q.merchant_id, q.mode, q.sell_currency, q.sell_amount_minor, q.buy_currency, q.buy_amount_minor,
    q.sell_per_euro, q.sell_source, q.sell_observed_at, q.buy_per_euro, q.buy_source, q.buy_observed_at, q.spread_bps,
    q.quoted_at, q.expires_at, u.entry_id AS used_by
FROM ledger.fx_quotes AS q LEFT JOIN ledger.fx_quote_uses AS u ON u.quote_id = q.id
WHERE q.id = $1

-- name: use_quotes
-- Mark quotes as used, each once for ever.
INSERT INTO ledger.fx_quote_uses (quote_id, entry_id, used_at)
SELECT u.quote_id, u.entry_id, u.used_at
FROM unnest($1::UUID[], $2::UUID[], $3::TIMESTAMPTZ[]) AS u (quote_id, entry_id, used_at)

-- name: trades
-- Every conversion of a mode, and every reversal of one, oldest first.
SELECT q.sell_currency, q.sell_amount_minor, q.buy_currency, q.buy_amount_minor, t.is_reversal
FROM (
    SELECT quote_id, entry_id, used_at AS at, FALSE AS is_reversal FROM ledger.fx_quote_uses
    UNION ALL
    SELECT u.quote_id, e.id, e.recorded_at, TRUE
    FROM ledger.fx_quote_uses AS u JOIN ledger.journal_entries AS e ON e.reverses = u.entry_id
) AS t JOIN ledger.fx_quotes AS q ON q.id = t.quote_id
WHERE q.mode = $1
ORDER BY t.at, t.entry_id
