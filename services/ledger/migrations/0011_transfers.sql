-- Transfers: what each side of one knows. A ledger has one row of a transfer, or both sides' where the shards of an
-- installation have come together meanwhile. Nothing is deleted.
CREATE TABLE ledger.transfers (
    id UUID NOT NULL,
    side TEXT NOT NULL,
    merchant_id UUID,
    mode TEXT NOT NULL,
    from_account_id UUID NOT NULL,
    from_shard SMALLINT NOT NULL,
    to_account_id UUID NOT NULL,
    to_shard SMALLINT NOT NULL,
    amount_minor NUMERIC(38, 0) NOT NULL,
    currency TEXT NOT NULL,
    state TEXT NOT NULL,
    refusal_code TEXT,
    asked_at TIMESTAMPTZ NOT NULL,
    ended_at TIMESTAMPTZ,
    CONSTRAINT transfers_pk PRIMARY KEY (id, side),
    CONSTRAINT transfers_mode_known CHECK (mode IN ('test', 'live')),
    CONSTRAINT transfers_amount_positive CHECK (amount_minor > 0),
    CONSTRAINT transfers_shards_in_range CHECK (from_shard BETWEEN 0 AND 63 AND to_shard BETWEEN 0 AND 63),
    CONSTRAINT transfers_state_of_side CHECK (
        CASE side WHEN 'sender' THEN state IN ('sent', 'received', 'returned')
        WHEN 'receiver' THEN state IN ('received', 'refused') ELSE FALSE END
    ),
    CONSTRAINT transfers_ended_unless_sent CHECK ((state = 'sent') = (ended_at IS NULL)),
    CONSTRAINT transfers_refusal_has_code CHECK ((state IN ('returned', 'refused')) = (refusal_code IS NOT NULL))
) WITH (fillfactor = 80);
-- What is under way: few rows, and none once all is quiet.
CREATE INDEX transfers_under_way ON ledger.transfers (asked_at) WHERE state = 'sent';

GRANT SELECT, INSERT, UPDATE (state, refusal_code, ended_at) ON ledger.transfers TO rialto_ledger;
GRANT SELECT ON ledger.transfers TO rialto_auditor;
