-- Months that were taken out of the journal: what has to stay of them, so that balances, proofs and identities hold.
--
-- A month is cut by its entries' ids, so its entries stand here and there in the chains. Of each one its link stays,
-- and of each account what the month had moved. All of it is written once, by `rialto ledger archive`, as the owner.
CREATE TABLE ledger.archived_months (
    month DATE NOT NULL,
    -- The first id after the month. Months go oldest first: whatever is older than the newest one's is gone as well.
    ids_before UUID NOT NULL,
    entries BIGINT NOT NULL,
    -- When the last of them was recorded; NULL: it had none. Up to then the books' history is in the files alone.
    last_recorded_at TIMESTAMPTZ,
    file_sha256 BYTEA NOT NULL,
    archived_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT archived_months_pk PRIMARY KEY (month),
    CONSTRAINT archived_months_first_day CHECK (extract(DAY FROM month) = 1),
    CONSTRAINT archived_months_entries_not_negative CHECK (entries >= 0),
    CONSTRAINT archived_months_file_hash_whole CHECK (octet_length(file_sha256) = 32)
);
CREATE TABLE ledger.archived_links (
    shard SMALLINT NOT NULL,
    chain_position BIGINT NOT NULL,
    entry_id UUID NOT NULL,
    hash BYTEA NOT NULL,
    CONSTRAINT archived_links_pk PRIMARY KEY (shard, chain_position),
    CONSTRAINT archived_links_linked CHECK (chain_position > 0 AND octet_length(hash) = 32)
);
CREATE TABLE ledger.archived_totals (
    account_id UUID NOT NULL,
    month DATE NOT NULL,
    debits_minor NUMERIC(38, 0) NOT NULL,
    credits_minor NUMERIC(38, 0) NOT NULL,
    CONSTRAINT archived_totals_pk PRIMARY KEY (account_id, month),
    CONSTRAINT archived_totals_month_fk FOREIGN KEY (month) REFERENCES ledger.archived_months (month),
    CONSTRAINT archived_totals_not_negative CHECK (debits_minor >= 0 AND credits_minor >= 0)
);

-- What a month had moved on the accounts of the treasuries on chain: the audit compares each movement with the chain.
CREATE TABLE ledger.archived_treasury (
    entry_id UUID NOT NULL,
    account_id UUID NOT NULL,
    kind TEXT NOT NULL,
    payment_id UUID,
    amount_minor NUMERIC(38, 0) NOT NULL,
    metadata JSONB NOT NULL,
    is_reversed BOOLEAN NOT NULL,
    CONSTRAINT archived_treasury_pk PRIMARY KEY (entry_id, account_id)
);

-- Every link there is, whether its entry is still here or not.
CREATE VIEW ledger.chain_links AS
SELECT shard, chain_position, id AS entry_id, hash FROM ledger.journal_entries WHERE chain_position IS NOT NULL
UNION ALL
SELECT shard, chain_position, entry_id, hash FROM ledger.archived_links;

-- How far the chains have come and how far they are sealed.
CREATE VIEW ledger.chain_growth AS
SELECT h.shard, h.position, coalesce(s.last_position, 0) AS sealed_position
FROM ledger.chain_heads AS h
LEFT JOIN LATERAL (
    SELECT last_position FROM ledger.block_shards WHERE shard = h.shard ORDER BY first_position DESC LIMIT 1
) AS s ON TRUE;

GRANT SELECT ON
ledger.archived_months, ledger.archived_links, ledger.archived_totals, ledger.archived_treasury, ledger.chain_links,
ledger.chain_growth
TO rialto_ledger, rialto_auditor;

-- Why a month cannot be archived, a sentence each: none, and it can.
CREATE FUNCTION ledger.objections_to_archiving(p_month DATE, p_old_before TIMESTAMPTZ) RETURNS SETOF TEXT
LANGUAGE plpgsql SET timezone = 'UTC' AS $$
DECLARE
    v_from UUID := bus.uuid_floor(p_month::TIMESTAMPTZ);
    v_before UUID := bus.uuid_floor(p_month + INTERVAL '1 month');
    v_oldest TEXT;
    v_newest TIMESTAMPTZ;
    v_count BIGINT;
BEGIN
    IF EXISTS (SELECT FROM ledger.archived_months WHERE month = p_month) THEN
        RETURN NEXT 'it was archived before';
        RETURN;
    END IF;
    SELECT min(c.relname) INTO v_oldest FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'ledger.journal_entries'::REGCLASS AND c.relname ~ '^journal_entries_[0-9]{6}$';
    IF v_oldest IS DISTINCT FROM 'journal_entries_' || to_char(p_month, 'YYYYMM') THEN
        RETURN NEXT 'the oldest month that can be archived is '
            || coalesce(to_char(to_date(right(v_oldest, 6), 'YYYYMM'), 'YYYY-MM'), 'none');
        RETURN;
    END IF;
    SELECT max(recorded_at) INTO v_newest FROM ledger.journal_entries WHERE id >= v_from AND id < v_before;
    IF greatest(v_newest, (p_month + INTERVAL '1 month')::TIMESTAMPTZ) > p_old_before THEN
        RETURN NEXT 'it is not old enough: it was last written to, or ended, after '
            || to_char(p_old_before, 'YYYY-MM-DD');
    END IF;
    SELECT count(*) INTO v_count FROM ledger.journal_entries AS e JOIN ledger.chain_growth AS g ON g.shard = e.shard
    WHERE e.id >= v_from AND e.id < v_before AND coalesce(e.chain_position > g.sealed_position, TRUE);
    IF v_count > 0 THEN
        RETURN NEXT v_count || ' of its entries are sealed by no block';
    END IF;
    SELECT count(*) INTO v_count FROM ledger.holds
    WHERE status = 'pending' AND (id >= v_from AND id < v_before OR payment_id >= v_from AND payment_id < v_before);
    IF v_count > 0 THEN
        RETURN NEXT v_count || ' of its holds are pending';
    END IF;
END $$;

-- Take a month out of the journal, whose entries are in a file of this hash: keep what has to stay of them, detach both
-- its partitions, and refuse its ids from then on. It takes the tables' locks last; who calls it sets a lock_timeout.
CREATE FUNCTION ledger.archive_month(
    p_month DATE, p_old_before TIMESTAMPTZ, p_entries BIGINT, p_file_sha256 BYTEA, p_now TIMESTAMPTZ
) RETURNS VOID LANGUAGE plpgsql SET timezone = 'UTC' AS $$
DECLARE
    v_suffix TEXT := to_char(p_month, 'YYYYMM');
    v_from UUID := bus.uuid_floor(p_month::TIMESTAMPTZ);
    v_before UUID := bus.uuid_floor(p_month + INTERVAL '1 month');
    v_objection TEXT;
    v_count BIGINT;
BEGIN
    EXECUTE format(
        'LOCK TABLE ledger.journal_entries_%1$s, ledger.postings_%1$s IN SHARE ROW EXCLUSIVE MODE', v_suffix);
    SELECT * INTO v_objection FROM ledger.objections_to_archiving(p_month, p_old_before) LIMIT 1;
    IF v_objection IS NOT NULL THEN
        RAISE EXCEPTION '%', v_objection USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    INSERT INTO ledger.archived_links (shard, chain_position, entry_id, hash)
    SELECT shard, chain_position, id, hash FROM ledger.journal_entries WHERE id >= v_from AND id < v_before;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    IF v_count <> p_entries THEN
        RAISE EXCEPTION 'it has % entries, and the file has %', v_count, p_entries
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    INSERT INTO ledger.archived_months (month, ids_before, entries, last_recorded_at, file_sha256, archived_at)
    SELECT p_month, v_before, p_entries, max(recorded_at), p_file_sha256, p_now
    FROM ledger.journal_entries WHERE id >= v_from AND id < v_before;
    INSERT INTO ledger.archived_totals (account_id, month, debits_minor, credits_minor)
    SELECT
        account_id, p_month, coalesce(sum(amount_minor) FILTER (WHERE side = 'debit'), 0),
        coalesce(sum(amount_minor) FILTER (WHERE side = 'credit'), 0)
    FROM ledger.postings WHERE entry_id >= v_from AND entry_id < v_before GROUP BY account_id;
    INSERT INTO ledger.archived_treasury (entry_id, account_id, kind, payment_id, amount_minor, metadata, is_reversed)
    SELECT
        e.id, a.id, e.kind, e.payment_id, sum(CASE p.side WHEN 'debit' THEN p.amount_minor ELSE -p.amount_minor END),
        e.metadata, EXISTS (SELECT FROM ledger.journal_entries AS r WHERE r.reverses = e.id)
    FROM ledger.accounts AS a
    JOIN ledger.postings AS p ON p.account_id = a.id AND p.entry_id >= v_from AND p.entry_id < v_before
    JOIN ledger.journal_entries AS e ON e.id = p.entry_id
    WHERE a.code LIKE 'chain:%:treasury'
    GROUP BY e.id, a.id;
    LOCK TABLE ledger.journal_entries, ledger.postings IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('ALTER TABLE ledger.postings DETACH PARTITION ledger.postings_%s', v_suffix);
    EXECUTE format('ALTER TABLE ledger.journal_entries DETACH PARTITION ledger.journal_entries_%s', v_suffix);
    -- An id of an archived month has no partition of its own any more: here is where it would go.
    ALTER TABLE ledger.journal_entries_default DROP CONSTRAINT IF EXISTS journal_entries_not_archived;
    EXECUTE format(
        'ALTER TABLE ledger.journal_entries_default ADD CONSTRAINT journal_entries_not_archived CHECK (id >= %L)'
        ' NOT VALID', v_before);
END $$;
REVOKE ALL ON FUNCTION ledger.objections_to_archiving(DATE, TIMESTAMPTZ) FROM public;
REVOKE ALL ON FUNCTION ledger.archive_month(DATE, TIMESTAMPTZ, BIGINT, BYTEA, TIMESTAMPTZ) FROM public;
