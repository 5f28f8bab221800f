-- The books compared with what others say: what each service has told of each merchant's closed days, and where the
-- two differ.
--
-- What the ledger has told; rialto_common.control reads and writes it.
SELECT bus.create_control_totals('ledger', 'rialto_ledger');

-- The entries of a day, by ranges of pages: they are written nearly in the order of their time.
CREATE INDEX journal_entries_by_time ON ledger.journal_entries USING brin (effective_at) WITH (autosummarize = on);

-- What the others have told, each day's highest revision.
CREATE TABLE ledger.reported_totals (
    source TEXT NOT NULL,
    merchant_id UUID NOT NULL,
    mode TEXT NOT NULL,
    currency TEXT NOT NULL,
    day DATE NOT NULL,
    revision INT NOT NULL,
    totals JSONB NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT reported_totals_pk PRIMARY KEY (day, source, merchant_id, mode, currency),
    CONSTRAINT reported_totals_mode_known CHECK (mode IN ('test', 'live'))
);
GRANT SELECT, INSERT, UPDATE (revision, totals, received_at) ON ledger.reported_totals TO rialto_ledger;

-- One row a merchant, mode, currency, day and kind on which the two sides have differed. Nothing is deleted.
CREATE TABLE ledger.differences (
    id UUID NOT NULL,
    merchant_id UUID NOT NULL,
    mode TEXT NOT NULL,
    currency TEXT NOT NULL,
    day DATE NOT NULL,
    kind TEXT NOT NULL,
    source TEXT NOT NULL,
    ours_minor NUMERIC(38, 0) NOT NULL,
    ours_count BIGINT NOT NULL,
    theirs_minor NUMERIC(38, 0),
    theirs_count BIGINT,
    reason TEXT NOT NULL,
    state TEXT NOT NULL,
    first_seen_at TIMESTAMPTZ NOT NULL,
    last_seen_at TIMESTAMPTZ NOT NULL,
    note TEXT,
    explained_by TEXT,
    CONSTRAINT differences_pk PRIMARY KEY (id),
    CONSTRAINT differences_mode_known CHECK (mode IN ('test', 'live')),
    CONSTRAINT differences_state_known CHECK (state IN ('open', 'explained', 'resolved')),
    CONSTRAINT differences_reason_known
    CHECK (reason IN ('missing_there', 'missing_here', 'amount_differs', 'not_reported')),
    CONSTRAINT differences_not_reported_has_no_theirs
    CHECK ((theirs_minor IS NULL) = (theirs_count IS NULL) AND (theirs_minor IS NULL) = (reason = 'not_reported')),
    CONSTRAINT differences_explained_has_note CHECK (state <> 'explained' OR (note IS NOT NULL AND explained_by IS NOT NULL))
);
CREATE INDEX differences_by_day ON ledger.differences (day);
-- What is open should be nothing.
CREATE INDEX differences_open ON ledger.differences (first_seen_at) WHERE state = 'open';
GRANT SELECT, INSERT, UPDATE (
    ours_minor, ours_count, theirs_minor, theirs_count, reason, state, first_seen_at, last_seen_at, note, explained_by
) ON ledger.differences TO rialto_ledger;
GRANT SELECT ON ledger.reported_totals, ledger.differences TO rialto_auditor;
