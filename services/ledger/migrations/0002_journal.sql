-- The journal: append-only by grants (no UPDATE, no DELETE), balanced by a trigger.
--
-- An entry's id is its idempotency key. Ids carry the time in their first bits, so both tables can be cut into ranges
-- of ids later without another key.
CREATE TABLE ledger.journal_entries (
    id UUID NOT NULL,
    kind TEXT NOT NULL,
    mode TEXT NOT NULL,
    shard SMALLINT NOT NULL,
    merchant_id UUID,
    payment_id UUID,
    reverses UUID,
    effective_at TIMESTAMPTZ NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL,
    metadata JSONB NOT NULL,
    CONSTRAINT journal_entries_pk PRIMARY KEY (id),
    CONSTRAINT journal_entries_reverses_fk FOREIGN KEY (reverses) REFERENCES ledger.journal_entries (id),
    CONSTRAINT journal_entries_mode_known CHECK (mode IN ('test', 'live')),
    CONSTRAINT journal_entries_shard_in_range CHECK (shard BETWEEN 0 AND 63)
);
CREATE INDEX journal_entries_payment ON ledger.journal_entries (payment_id) WHERE payment_id IS NOT NULL;

CREATE TABLE ledger.postings (
    entry_id UUID NOT NULL,
    line SMALLINT NOT NULL,
    account_id UUID NOT NULL,
    side TEXT NOT NULL,
    amount_minor NUMERIC(38, 0) NOT NULL,
    currency TEXT NOT NULL,
    CONSTRAINT postings_pk PRIMARY KEY (entry_id, line),
    CONSTRAINT postings_side_known CHECK (side IN ('debit', 'credit')),
    CONSTRAINT postings_amount_positive CHECK (amount_minor > 0)
);

GRANT SELECT, INSERT ON ledger.journal_entries, ledger.postings TO rialto_ledger;
GRANT SELECT ON ledger.journal_entries, ledger.postings TO rialto_auditor;

-- I1, once a statement and set-based. Each statement must bring whole entries: lines from 0 on, balanced per currency.
-- By the primary key nothing can be added to an entry later, so looking at the added lines alone is enough. Also what
-- foreign keys would say, for all lines at once: the entry exists, the account exists, in the same currency and mode.
CREATE FUNCTION ledger.check_added_postings() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM added GROUP BY entry_id, currency
        HAVING sum(CASE side WHEN 'debit' THEN amount_minor ELSE -amount_minor END) <> 0
    ) THEN
        RAISE EXCEPTION 'an entry does not balance in each of its currencies'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'postings_balanced';
    END IF;
    IF EXISTS (
        SELECT FROM added GROUP BY entry_id HAVING min(line) <> 0 OR max(line) <> count(*) - 1 OR count(*) < 2
    ) THEN
        RAISE EXCEPTION 'an entry is not added whole, with lines from 0 on'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'postings_whole_entry';
    END IF;
    IF EXISTS (
        SELECT FROM added AS p
        LEFT JOIN ledger.journal_entries AS e ON e.id = p.entry_id
        LEFT JOIN ledger.accounts AS a ON a.id = p.account_id AND a.currency = p.currency AND a.mode = e.mode
        WHERE a.id IS NULL
    ) THEN
        RAISE EXCEPTION 'a posting names no entry, or no account of its currency and mode'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'postings_entry_and_account_exist';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER check_added_postings AFTER INSERT ON ledger.postings
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_added_postings();
