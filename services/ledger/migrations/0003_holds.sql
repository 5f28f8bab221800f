-- Holds: reserved amounts, the marks of those that will never be placed, and the refusals.
CREATE TABLE ledger.holds (
    id UUID NOT NULL,
    payment_id UUID NOT NULL,
    account_id UUID,
    merchant_id UUID NOT NULL,
    mode TEXT NOT NULL,
    shard SMALLINT NOT NULL,
    currency TEXT NOT NULL,
    amount_minor NUMERIC(38, 0) NOT NULL,
    captured_minor NUMERIC(38, 0) NOT NULL,
    released_minor NUMERIC(38, 0) NOT NULL,
    status TEXT NOT NULL,
    refusal_code TEXT,
    placed_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ,
    closed_at TIMESTAMPTZ,
    version INT NOT NULL,
    CONSTRAINT holds_pk PRIMARY KEY (id),
    CONSTRAINT holds_mode_known CHECK (mode IN ('test', 'live')),
    CONSTRAINT holds_shard_in_range CHECK (shard BETWEEN 0 AND 63),
    CONSTRAINT holds_status_known CHECK (status IN ('pending', 'captured', 'voided', 'expired', 'refused')),
    CONSTRAINT holds_amounts_not_negative CHECK (captured_minor >= 0 AND released_minor >= 0),
    CONSTRAINT holds_never_above_amount CHECK (captured_minor + released_minor <= amount_minor),
    CONSTRAINT holds_closed_when_not_pending CHECK ((status = 'pending') = (closed_at IS NULL)),
    CONSTRAINT holds_pending_has_money_and_deadline CHECK (
        status <> 'pending'
        OR (account_id IS NOT NULL AND expires_at IS NOT NULL AND captured_minor + released_minor < amount_minor)
    ),
    CONSTRAINT holds_closed_accounts_for_all CHECK (
        status IN ('pending', 'refused') OR captured_minor + released_minor = amount_minor
    ),
    CONSTRAINT holds_refused_has_code CHECK (
        (status = 'refused') = (refusal_code IS NOT NULL) AND (status <> 'refused' OR captured_minor + released_minor = 0)
    )
) WITH (fillfactor = 80);
-- The sweeper's: only pending holds are in it.
CREATE INDEX holds_due ON ledger.holds (expires_at) WHERE status = 'pending';

GRANT SELECT, INSERT ON ledger.holds TO rialto_ledger;
GRANT UPDATE (captured_minor, released_minor, status, closed_at, version) ON ledger.holds TO rialto_ledger;

-- What a foreign key would say, once a statement: money is only held on accounts that exist, in their currency and mode.
CREATE FUNCTION ledger.check_added_holds() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM added AS h
        LEFT JOIN ledger.accounts AS a ON a.id = h.account_id AND a.currency = h.currency AND a.mode = h.mode
        WHERE h.account_id IS NOT NULL AND h.status <> 'refused' AND a.id IS NULL
    ) THEN
        RAISE EXCEPTION 'a hold names no account of its currency and mode'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'holds_account_exists';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER check_added_holds AFTER INSERT ON ledger.holds
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_added_holds();

-- The latest settlement entry of each payment: a chain may take a settlement back and give it again.
CREATE TABLE ledger.settlements (
    payment_id UUID NOT NULL,
    settlement_id UUID NOT NULL,
    ordinal INT NOT NULL,
    status TEXT NOT NULL,
    entry_id UUID NOT NULL,
    sequence BIGINT NOT NULL,
    CONSTRAINT settlements_pk PRIMARY KEY (payment_id),
    CONSTRAINT settlements_entry_fk FOREIGN KEY (entry_id) REFERENCES ledger.journal_entries (id),
    CONSTRAINT settlements_status_known CHECK (status IN ('posted', 'reversed')),
    CONSTRAINT settlements_ordinal_not_negative CHECK (ordinal >= 0)
);
GRANT SELECT, INSERT, UPDATE ON ledger.settlements TO rialto_ledger;

GRANT SELECT ON ledger.holds, ledger.settlements TO rialto_auditor;

SELECT bus.create_consumer_tables('ledger', 'rialto_ledger');
