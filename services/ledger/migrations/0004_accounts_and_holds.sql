-- Accounts with owners, outside identifiers and upper limits; their status can change, with a reason; holds of the API's.
ALTER TABLE ledger.accounts
    ADD COLUMN maximum_balance_minor NUMERIC(38, 0),
    ADD COLUMN owner TEXT,
    ADD COLUMN identifier TEXT,
    ADD COLUMN metadata JSONB NOT NULL DEFAULT '{}',
    ADD CONSTRAINT accounts_identifier_unique UNIQUE (identifier),
    -- I2, the other end.
    ADD CONSTRAINT accounts_balance_below_maximum CHECK (
        maximum_balance_minor IS NULL
        OR CASE normal_side WHEN 'credit' THEN credits_minor - debits_minor ELSE debits_minor - credits_minor END
        <= maximum_balance_minor
    );
GRANT INSERT (maximum_balance_minor, owner, identifier, metadata) ON ledger.accounts TO rialto_ledger;
GRANT UPDATE (status) ON ledger.accounts TO rialto_ledger;

CREATE OR REPLACE VIEW ledger.account_balances AS
SELECT
    id, code, type, normal_side, currency, merchant_id, mode, shard, status, minimum_available_minor,
    debits_minor, credits_minor, held_minor, version, opened_at,
    CASE normal_side WHEN 'credit' THEN credits_minor - debits_minor ELSE debits_minor - credits_minor END
    AS ledger_balance_minor,
    CASE normal_side WHEN 'credit' THEN credits_minor - debits_minor ELSE debits_minor - credits_minor END
    - held_minor AS available_balance_minor,
    maximum_balance_minor, owner, identifier, metadata
FROM ledger.accounts;

-- Who was frozen, opened again or closed, when and why. Append-only, like the journal.
CREATE TABLE ledger.account_status_changes (
    sequence BIGINT GENERATED ALWAYS AS IDENTITY,
    account_id UUID NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT account_status_changes_pk PRIMARY KEY (account_id, sequence),
    CONSTRAINT account_status_changes_account_fk FOREIGN KEY (account_id) REFERENCES ledger.accounts (id),
    CONSTRAINT account_status_changes_status_known CHECK (status IN ('open', 'frozen', 'closed'))
);
GRANT SELECT, INSERT ON ledger.account_status_changes TO rialto_ledger;
GRANT SELECT ON ledger.account_status_changes TO rialto_auditor;

ALTER TABLE ledger.holds ALTER COLUMN payment_id DROP NOT NULL, ALTER COLUMN merchant_id DROP NOT NULL;
GRANT UPDATE (expires_at) ON ledger.holds TO rialto_ledger;
