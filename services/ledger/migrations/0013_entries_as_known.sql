-- Posting a batch that was decided ahead in one statement, so that it can be sent, and wait for the locks, while the batch
-- before it is being written.
--
-- Append entries and their postings, move the chains' ends and change the accounts' totals, each once. Columns whose rows are
-- all alike may come as one value (`bus.spread`). The second look at the accounts' ids keeps the plan an index scan: by the
-- join alone a large batch would read all accounts there are.
CREATE FUNCTION ledger.add_entries(
    p_ids UUID[], p_kinds TEXT[], p_modes TEXT[], p_shards SMALLINT[], p_merchants UUID[], p_payments UUID[],
    p_reverses UUID[], p_effective_at TIMESTAMPTZ[], p_recorded_at TIMESTAMPTZ, p_metadata TEXT[], p_positions BIGINT[],
    p_hashes BYTEA[], p_posting_entries UUID[], p_posting_lines SMALLINT[], p_posting_accounts UUID[],
    p_posting_sides TEXT[], p_posting_amounts TEXT[], p_posting_currencies TEXT[], p_head_shards SMALLINT[],
    p_head_positions BIGINT[], p_head_hashes BYTEA[], p_accounts UUID[], p_debits TEXT[], p_credits TEXT[],
    p_held TEXT[]
) RETURNS VOID
LANGUAGE plpgsql AS $$
DECLARE
    v_entries CONSTANT INT := cardinality(p_ids);
    v_postings CONSTANT INT := cardinality(p_posting_entries);
    v_accounts CONSTANT INT := cardinality(p_accounts);
BEGIN
    INSERT INTO ledger.journal_entries (
        id, kind, mode, shard, merchant_id, payment_id, reverses, effective_at, recorded_at, metadata, chain_position,
        hash
    )
    SELECT
        e.id, e.kind, e.mode, e.shard, e.merchant_id, e.payment_id, e.reverses, e.effective_at, p_recorded_at,
        e.metadata::JSONB, e.chain_position, e.hash
    FROM unnest(
        p_ids, bus.spread(p_kinds, v_entries), bus.spread(p_modes, v_entries), bus.spread(p_shards, v_entries),
        bus.spread(p_merchants, v_entries), bus.spread(p_payments, v_entries), bus.spread(p_reverses, v_entries),
        bus.spread(p_effective_at, v_entries), bus.spread(p_metadata, v_entries), p_positions, p_hashes
    ) AS e (
        id, kind, mode, shard, merchant_id, payment_id, reverses, effective_at, metadata, chain_position, hash
    );
    UPDATE ledger.chain_heads AS h SET position = n.position, hash = n.hash
    FROM unnest(p_head_shards, p_head_positions, p_head_hashes) AS n (shard, position, hash)
    WHERE h.shard = n.shard;
    UPDATE ledger.accounts AS a
    SET debits_minor = a.debits_minor + d.debits::NUMERIC,
        credits_minor = a.credits_minor + d.credits::NUMERIC,
        held_minor = a.held_minor + d.held::NUMERIC,
        version = a.version + 1
    FROM unnest(
        p_accounts, bus.spread(p_debits, v_accounts), bus.spread(p_credits, v_accounts), bus.spread(p_held, v_accounts)
    ) AS d (id, debits, credits, held)
    WHERE a.id = d.id AND a.id = ANY (ARRAY(SELECT unnest(p_accounts)));
    INSERT INTO ledger.postings (entry_id, line, account_id, side, amount_minor, currency, recorded_at)
    SELECT p.entry_id, p.line, p.account_id, p.side, p.amount::NUMERIC, p.currency, p_recorded_at
    FROM unnest(
        p_posting_entries, p_posting_lines, p_posting_accounts, p_posting_sides,
        bus.spread(p_posting_amounts, v_postings), bus.spread(p_posting_currencies, v_postings)
    ) AS p (entry_id, line, account_id, side, amount, currency);
END $$;

-- Lock what a batch was decided on (`ledger.lock_as_known`), and add its entries if the ends of the chains ($6, in the order
-- of shards) are those that they were linked to, too. Returns what `lock_as_known` returns: from it the caller sees whether
-- anything was added.
CREATE FUNCTION ledger.add_entries_as_known(
    p_known UUID[], p_versions BIGINT[], p_asked UUID[], p_lowest UUID, p_highest UUID, p_known_shards SMALLINT[],
    p_known_positions BIGINT[], p_known_hashes BYTEA[],
    p_ids UUID[], p_kinds TEXT[], p_modes TEXT[], p_shards SMALLINT[], p_merchants UUID[], p_payments UUID[],
    p_reverses UUID[], p_effective_at TIMESTAMPTZ[], p_recorded_at TIMESTAMPTZ, p_metadata TEXT[], p_positions BIGINT[],
    p_hashes BYTEA[], p_posting_entries UUID[], p_posting_lines SMALLINT[], p_posting_accounts UUID[],
    p_posting_sides TEXT[], p_posting_amounts TEXT[], p_posting_currencies TEXT[], p_head_shards SMALLINT[],
    p_head_positions BIGINT[], p_head_hashes BYTEA[], p_accounts UUID[], p_debits TEXT[], p_credits TEXT[],
    p_held TEXT[]
) RETURNS TABLE (stands BOOLEAN, head_shard SMALLINT, head_position BIGINT, head_hash BYTEA)
LANGUAGE plpgsql AS $$
DECLARE
    v_stands BOOLEAN;
    v_shards SMALLINT[];
    v_positions BIGINT[];
    v_hashes BYTEA[];
BEGIN
    SELECT
        bool_and(k.stands),
        array_agg(k.head_shard ORDER BY k.head_shard) FILTER (WHERE k.head_shard IS NOT NULL),
        array_agg(k.head_position ORDER BY k.head_shard) FILTER (WHERE k.head_shard IS NOT NULL),
        array_agg(k.head_hash ORDER BY k.head_shard) FILTER (WHERE k.head_shard IS NOT NULL)
    INTO v_stands, v_shards, v_positions, v_hashes
    FROM ledger.lock_as_known(p_known, p_versions, p_asked, p_lowest, p_highest, p_known_shards) AS k;
    IF v_stands AND v_positions = p_known_positions AND v_hashes = p_known_hashes THEN
        PERFORM ledger.add_entries(
            p_ids, p_kinds, p_modes, p_shards, p_merchants, p_payments, p_reverses, p_effective_at, p_recorded_at,
            p_metadata, p_positions, p_hashes, p_posting_entries, p_posting_lines, p_posting_accounts,
            p_posting_sides, p_posting_amounts, p_posting_currencies, p_head_shards, p_head_positions, p_head_hashes,
            p_accounts, p_debits, p_credits, p_held
        );
    END IF;
    RETURN QUERY
    SELECT v_stands, s.shard, s.position, s.hash
    FROM (SELECT) AS once
    LEFT JOIN unnest(v_shards, v_positions, v_hashes) AS s (shard, position, hash) ON TRUE;
END $$;
