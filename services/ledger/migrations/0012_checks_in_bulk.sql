-- What posting a batch costs.
--
-- The checks of added postings in fewer passes: what a statement adds is looked at as a whole, and only where something is
-- wrong again, to say what. Each entry is looked up once instead of once a line, and each account once. Entries by arrays, as
-- these plans are kept and must not be those of an empty journal, which read all of it, and within the lowest and the
-- highest id, so that other months are not looked at. Accounts by a join: of an array the planner expects ten, and compares
-- each with each.
CREATE OR REPLACE FUNCTION ledger.check_added_postings() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (
            SELECT
                entry_id, min(line) AS first, max(line) AS last, count(*) AS lines,
                sum(CASE side WHEN 'debit' THEN amount_minor ELSE -amount_minor END) AS difference
            FROM added GROUP BY entry_id, currency
        ) AS c
        GROUP BY entry_id
        HAVING bool_or(difference <> 0) OR min(first) <> 0 OR max(last) <> sum(lines) - 1 OR sum(lines) < 2
    ) THEN
        IF EXISTS (
            SELECT FROM added GROUP BY entry_id, currency
            HAVING sum(CASE side WHEN 'debit' THEN amount_minor ELSE -amount_minor END) <> 0
        ) THEN
            RAISE EXCEPTION 'an entry does not balance in each of its currencies'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'postings_balanced';
        END IF;
        RAISE EXCEPTION 'an entry is not added whole, with lines from 0 on'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'postings_whole_entry';
    END IF;
    IF EXISTS (
        SELECT FROM (
            SELECT p.account_id, p.currency, e.mode
            FROM added AS p
            LEFT JOIN (
                SELECT id, mode FROM ledger.journal_entries
                WHERE id = ANY (ARRAY(SELECT entry_id FROM added WHERE line = 0))
                    AND id >= (SELECT entry_id FROM added ORDER BY entry_id LIMIT 1)
                    AND id <= (SELECT entry_id FROM added ORDER BY entry_id DESC LIMIT 1)
            ) AS e ON e.id = p.entry_id
            GROUP BY p.account_id, p.currency, e.mode
        ) AS named
        LEFT JOIN ledger.accounts AS a
            ON a.id = named.account_id AND a.currency = named.currency AND a.mode = named.mode
        WHERE a.id IS NULL
    ) THEN
        RAISE EXCEPTION 'a posting names no entry, or no account of its currency and mode'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'postings_entry_and_account_exist';
    END IF;
    RETURN NULL;
END $$;

-- Lock accounts, as any posting does, for a batch that was decided on what they were thought to be, and then the ends of
-- the chains that it adds to. `stands` if each account still has the version it was known by, and none of the new entries
-- (from the lowest id to the highest) is posted or of a month that was archived; with it the ends, one a row.
CREATE FUNCTION ledger.lock_as_known(
    p_accounts UUID[], p_versions BIGINT[], p_entries UUID[], p_lowest UUID, p_highest UUID, p_shards SMALLINT[]
) RETURNS TABLE (stands BOOLEAN, head_shard SMALLINT, head_position BIGINT, head_hash BYTEA)
LANGUAGE plpgsql AS $$
DECLARE
    v_unchanged BIGINT;
    v_posted BIGINT;
BEGIN
    SELECT count(*) INTO v_unchanged
    FROM (
        SELECT id, version FROM ledger.accounts WHERE id = ANY (ARRAY(SELECT unnest(p_accounts))) ORDER BY id FOR UPDATE
    ) AS a
    JOIN unnest(p_accounts, p_versions) AS known (id, version) ON known.id = a.id AND known.version = a.version;
    SELECT count(*) INTO v_posted FROM ledger.journal_entries
    WHERE id = ANY (ARRAY(SELECT unnest(p_entries))) AND id BETWEEN p_lowest AND p_highest;
    IF v_unchanged < cardinality(p_accounts) OR v_posted > 0
        OR EXISTS (SELECT FROM ledger.archived_months WHERE ids_before > p_lowest)
    THEN
        RETURN QUERY SELECT FALSE, NULL::SMALLINT, NULL::BIGINT, NULL::BYTEA;
        RETURN;
    END IF;
    RETURN QUERY
    SELECT TRUE, h.shard, h.position, h.hash
    FROM (SELECT) AS once
    LEFT JOIN (
        SELECT c.shard, c.position, c.hash FROM ledger.chain_heads AS c
        WHERE c.shard = ANY (p_shards) ORDER BY c.shard FOR UPDATE
    ) AS h ON TRUE;
END $$;
