-- The journal cut into months and hashed into chains, one a shard.
--
-- Cut by id: an entry's id carries its time in its first bits, so uniqueness of ids stays the tables' own, and a month
-- can be detached without touching another. Whatever has no month of its own lies in the default partition.
ALTER TABLE ledger.settlements DROP CONSTRAINT settlements_entry_fk;
ALTER TABLE ledger.journal_entries RENAME TO old_journal_entries;
ALTER TABLE ledger.old_journal_entries DROP CONSTRAINT journal_entries_reverses_fk, DROP CONSTRAINT journal_entries_pk;
DROP INDEX ledger.journal_entries_payment;
ALTER TABLE ledger.postings RENAME TO old_postings;
ALTER TABLE ledger.old_postings DROP CONSTRAINT postings_pk;

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
    -- Its place in its shard's chain, and the hash of everything up to it. NULL: from before there were chains.
    chain_position BIGINT,
    hash BYTEA,
    CONSTRAINT journal_entries_pk PRIMARY KEY (id),
    CONSTRAINT journal_entries_mode_known CHECK (mode IN ('test', 'live')),
    CONSTRAINT journal_entries_shard_in_range CHECK (shard BETWEEN 0 AND 63),
    CONSTRAINT journal_entries_linked CHECK (chain_position > 0 AND octet_length(hash) = 32)
) PARTITION BY RANGE (id);
CREATE TABLE ledger.journal_entries_default PARTITION OF ledger.journal_entries DEFAULT;
CREATE INDEX journal_entries_payment ON ledger.journal_entries (payment_id) WHERE payment_id IS NOT NULL;
CREATE INDEX journal_entries_chain ON ledger.journal_entries (shard, chain_position);

CREATE TABLE ledger.postings (
    entry_id UUID NOT NULL,
    line SMALLINT NOT NULL,
    account_id UUID NOT NULL,
    side TEXT NOT NULL,
    amount_minor NUMERIC(38, 0) NOT NULL,
    currency TEXT NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT postings_pk PRIMARY KEY (entry_id, line),
    CONSTRAINT postings_side_known CHECK (side IN ('debit', 'credit')),
    CONSTRAINT postings_amount_positive CHECK (amount_minor > 0)
) PARTITION BY RANGE (entry_id);
CREATE TABLE ledger.postings_default PARTITION OF ledger.postings DEFAULT;
-- An account's history, in the order in which it was written.
CREATE INDEX postings_account ON ledger.postings (account_id, recorded_at, entry_id, line);

INSERT INTO ledger.journal_entries (
    id, kind, mode, shard, merchant_id, payment_id, reverses, effective_at, recorded_at, metadata
)
SELECT id, kind, mode, shard, merchant_id, payment_id, reverses, effective_at, recorded_at, metadata
FROM ledger.old_journal_entries;
INSERT INTO ledger.postings (entry_id, line, account_id, side, amount_minor, currency, recorded_at)
SELECT p.entry_id, p.line, p.account_id, p.side, p.amount_minor, p.currency, e.recorded_at
FROM ledger.old_postings AS p JOIN ledger.old_journal_entries AS e ON e.id = p.entry_id;
DROP TABLE ledger.old_postings, ledger.old_journal_entries;

CREATE TRIGGER check_added_postings AFTER INSERT ON ledger.postings
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_added_postings();
GRANT SELECT, INSERT ON ledger.journal_entries, ledger.postings TO rialto_ledger;
GRANT SELECT ON ledger.journal_entries, ledger.postings TO rialto_auditor;

-- The end of each shard's chain. Whoever posts on a shard locks its row, after the accounts, in the order of shards.
CREATE TABLE ledger.chain_heads (
    shard SMALLINT NOT NULL,
    position BIGINT NOT NULL,
    hash BYTEA,
    CONSTRAINT chain_heads_pk PRIMARY KEY (shard),
    CONSTRAINT chain_heads_shard_in_range CHECK (shard BETWEEN 0 AND 63),
    CONSTRAINT chain_heads_begun CHECK ((position = 0) = (hash IS NULL) AND position >= 0)
) WITH (fillfactor = 50);
INSERT INTO ledger.chain_heads (shard, position) SELECT s, 0 FROM generate_series(0, 63) AS s;
GRANT SELECT, UPDATE (position, hash) ON ledger.chain_heads TO rialto_ledger;
GRANT SELECT ON ledger.chain_heads TO rialto_auditor;

-- Blocks seal what the chains have grown by. Append-only.
CREATE TABLE ledger.blocks (
    number BIGINT NOT NULL,
    sealed_at TIMESTAMPTZ NOT NULL,
    previous BYTEA NOT NULL,
    super_root BYTEA NOT NULL,
    CONSTRAINT blocks_pk PRIMARY KEY (number),
    CONSTRAINT blocks_hashes_whole CHECK (octet_length(previous) = 32 AND octet_length(super_root) = 32)
);
CREATE TABLE ledger.block_shards (
    block BIGINT NOT NULL,
    shard SMALLINT NOT NULL,
    first_position BIGINT NOT NULL,
    last_position BIGINT NOT NULL,
    last_hash BYTEA NOT NULL,
    root BYTEA NOT NULL,
    CONSTRAINT block_shards_pk PRIMARY KEY (shard, first_position),
    CONSTRAINT block_shards_once UNIQUE (block, shard),
    CONSTRAINT block_shards_block_fk FOREIGN KEY (block) REFERENCES ledger.blocks (number),
    CONSTRAINT block_shards_not_empty CHECK (first_position BETWEEN 1 AND last_position),
    CONSTRAINT block_shards_hashes_whole CHECK (octet_length(last_hash) = 32 AND octet_length(root) = 32)
);
GRANT SELECT, INSERT ON ledger.blocks, ledger.block_shards TO rialto_ledger;
GRANT SELECT ON ledger.blocks, ledger.block_shards TO rialto_auditor;

-- Make the partitions of this month and the next ones. A month that has rows in the default partition stays there.
CREATE FUNCTION ledger.prepare_months(p_now TIMESTAMPTZ, p_ahead INT) RETURNS VOID
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET timezone = 'UTC' AS $$
DECLARE
    v_month TIMESTAMPTZ;
    v_table TEXT;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('ledger.prepare_months', 0));
    FOREACH v_table IN ARRAY ARRAY['journal_entries', 'postings'] LOOP
        FOR v_month IN
            SELECT date_trunc('month', p_now) + make_interval(months => i) FROM generate_series(0, p_ahead) AS i
        LOOP
            BEGIN
                EXECUTE format(
                    'CREATE TABLE IF NOT EXISTS ledger.%I PARTITION OF ledger.%I FOR VALUES FROM (%L) TO (%L)',
                    v_table || to_char(v_month, '_YYYYMM'), v_table,
                    bus.uuid_floor(v_month), bus.uuid_floor(v_month + INTERVAL '1 month'));
            EXCEPTION WHEN check_violation THEN NULL;
            END;
        END LOOP;
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION ledger.prepare_months(TIMESTAMPTZ, INT) FROM public;
GRANT EXECUTE ON FUNCTION ledger.prepare_months(TIMESTAMPTZ, INT) TO rialto_ledger;
