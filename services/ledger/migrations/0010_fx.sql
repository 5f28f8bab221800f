-- Rates as they were published, the prices that were promised at them, and which entry used each promise.
-- Append-only, all three: no UPDATE, no DELETE.

-- What one euro costs. A corrected rate is a row beside the wrong one, and the newest recorded counts.
CREATE TABLE ledger.fx_rates (
    source TEXT NOT NULL,
    currency TEXT NOT NULL,
    per_euro NUMERIC NOT NULL,
    observed_at TIMESTAMPTZ NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT fx_rates_pk PRIMARY KEY (source, currency, observed_at, per_euro),
    CONSTRAINT fx_rates_currency_not_euro CHECK (currency <> 'EUR'),
    CONSTRAINT fx_rates_positive CHECK (per_euro > 0 AND per_euro < 'Infinity')
);

-- A quote repeats the published rates that it comes from, at most two as the euro needs none: it can be checked alone.
CREATE TABLE ledger.fx_quotes (
    id UUID NOT NULL,
    merchant_id UUID,
    mode TEXT NOT NULL,
    sell_currency TEXT NOT NULL,
    sell_amount_minor NUMERIC(38, 0) NOT NULL,
    buy_currency TEXT NOT NULL,
    buy_amount_minor NUMERIC(38, 0) NOT NULL,
    sell_per_euro NUMERIC,
    sell_source TEXT,
    sell_observed_at TIMESTAMPTZ,
    buy_per_euro NUMERIC,
    buy_source TEXT,
    buy_observed_at TIMESTAMPTZ,
    spread_bps SMALLINT NOT NULL,
    quoted_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT fx_quotes_pk PRIMARY KEY (id),
    CONSTRAINT fx_quotes_mode_known CHECK (mode IN ('test', 'live')),
    CONSTRAINT fx_quotes_currencies_differ CHECK (sell_currency <> buy_currency),
    CONSTRAINT fx_quotes_amounts_positive CHECK (sell_amount_minor > 0 AND buy_amount_minor > 0),
    CONSTRAINT fx_quotes_sell_rate_whole CHECK (
        num_nulls(sell_per_euro, sell_source, sell_observed_at) = CASE sell_currency WHEN 'EUR' THEN 3 ELSE 0 END
    ),
    CONSTRAINT fx_quotes_buy_rate_whole CHECK (
        num_nulls(buy_per_euro, buy_source, buy_observed_at) = CASE buy_currency WHEN 'EUR' THEN 3 ELSE 0 END
    ),
    CONSTRAINT fx_quotes_never_live_at_sample_rates CHECK (
        mode = 'test' OR (sell_source IS DISTINCT FROM 'sample' AND buy_source IS DISTINCT FROM 'sample')
    ),
    CONSTRAINT fx_quotes_spread_in_range CHECK (spread_bps BETWEEN 0 AND 9999),
    CONSTRAINT fx_quotes_held_for_a_time CHECK (expires_at > quoted_at)
);

-- Written in the transaction that posts the entry. The primary key is what makes a quote usable once.
CREATE TABLE ledger.fx_quote_uses (
    quote_id UUID NOT NULL,
    entry_id UUID NOT NULL,
    used_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT fx_quotes_used_once PRIMARY KEY (quote_id),
    CONSTRAINT fx_quote_uses_entry_unique UNIQUE (entry_id),
    CONSTRAINT fx_quote_uses_quote_fk FOREIGN KEY (quote_id) REFERENCES ledger.fx_quotes (id)
);

GRANT SELECT, INSERT ON ledger.fx_rates, ledger.fx_quotes, ledger.fx_quote_uses TO rialto_ledger;
GRANT SELECT ON ledger.fx_rates, ledger.fx_quotes, ledger.fx_quote_uses TO rialto_auditor;

-- The report's way to the reversals of conversions. Only reversals are in it.
CREATE INDEX journal_entries_reversals ON ledger.journal_entries (reverses) WHERE reverses IS NOT NULL;
