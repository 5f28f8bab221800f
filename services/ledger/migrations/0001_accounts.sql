-- Accounts and their totals. Totals only ever grow; what may be spent is derived from them and limited by a CHECK.
CREATE SCHEMA ledger;
GRANT USAGE ON SCHEMA ledger TO rialto_ledger, rialto_auditor;

CREATE TABLE ledger.accounts (
    id UUID NOT NULL,
    code TEXT NOT NULL,
    type TEXT NOT NULL,
    normal_side TEXT NOT NULL,
    currency TEXT NOT NULL,
    merchant_id UUID,
    mode TEXT NOT NULL,
    shard SMALLINT NOT NULL,
    status TEXT NOT NULL DEFAULT 'open',
    minimum_available_minor NUMERIC(38, 0),
    debits_minor NUMERIC(38, 0) NOT NULL DEFAULT 0,
    credits_minor NUMERIC(38, 0) NOT NULL DEFAULT 0,
    held_minor NUMERIC(38, 0) NOT NULL DEFAULT 0,
    version BIGINT NOT NULL DEFAULT 0,
    opened_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT accounts_pk PRIMARY KEY (id),
    CONSTRAINT accounts_code_unique UNIQUE (code, mode, currency),
    CONSTRAINT accounts_type_known CHECK (type IN ('asset', 'liability', 'equity', 'income', 'expense')),
    CONSTRAINT accounts_normal_side_of_type CHECK (
        normal_side = CASE WHEN type IN ('asset', 'expense') THEN 'debit' ELSE 'credit' END
    ),
    CONSTRAINT accounts_mode_known CHECK (mode IN ('test', 'live')),
    CONSTRAINT accounts_status_known CHECK (status IN ('open', 'frozen', 'closed')),
    CONSTRAINT accounts_shard_in_range CHECK (shard BETWEEN 0 AND 63),
    CONSTRAINT accounts_totals_not_negative CHECK (debits_minor >= 0 AND credits_minor >= 0 AND held_minor >= 0),
    -- I2: available = ledger balance - held, never below the account's minimum.
    CONSTRAINT accounts_available_above_minimum CHECK (
        minimum_available_minor IS NULL
        OR CASE normal_side WHEN 'credit' THEN credits_minor - debits_minor ELSE debits_minor - credits_minor END
        - held_minor >= minimum_available_minor
    )
    -- Room in each page, so that the totals' updates stay on it and touch no index (HOT).
) WITH (fillfactor = 70);

-- An account opens with totals of zero, and is never removed.
GRANT SELECT ON ledger.accounts TO rialto_ledger;
GRANT INSERT (
    id, code, type, normal_side, currency, merchant_id, mode, shard, minimum_available_minor, opened_at
) ON ledger.accounts TO rialto_ledger;
GRANT UPDATE (debits_minor, credits_minor, held_minor, version) ON ledger.accounts TO rialto_ledger;

CREATE VIEW ledger.account_balances AS
SELECT
    id, code, type, normal_side, currency, merchant_id, mode, shard, status, minimum_available_minor,
    debits_minor, credits_minor, held_minor, version, opened_at,
    CASE normal_side WHEN 'credit' THEN credits_minor - debits_minor ELSE debits_minor - credits_minor END
    AS ledger_balance_minor,
    CASE normal_side WHEN 'credit' THEN credits_minor - debits_minor ELSE debits_minor - credits_minor END
    - held_minor AS available_balance_minor
FROM ledger.accounts;

GRANT SELECT ON ledger.account_balances TO rialto_ledger;
GRANT SELECT ON ledger.accounts, ledger.account_balances TO rialto_auditor;
