-- Acquirers' settlement files: each taken once, whole or not at all.
CREATE TABLE gateway.settlement_files (
    file_id UUID NOT NULL,
    connector TEXT NOT NULL,
    name TEXT NOT NULL,
    sha256 BYTEA NOT NULL,
    lines INT NOT NULL,
    cleared INT NOT NULL,
    differing INT NOT NULL,
    totals JSON NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT settlement_files_pk PRIMARY KEY (file_id),
    CONSTRAINT settlement_files_once UNIQUE (connector, sha256),
    CONSTRAINT settlement_files_name UNIQUE (connector, name),
    CONSTRAINT settlement_files_all_lines CHECK (cleared + differing = lines)
);

-- Their lines as they came, amounts signed as money comes to us. `attempt_id` is the capture or refund, `dispute_id`
-- the lost dispute, that a line clears.
CREATE TABLE gateway.settlement_lines (
    file_id UUID NOT NULL,
    line INT NOT NULL,
    kind TEXT NOT NULL,
    acquirer_id TEXT NOT NULL,
    reference TEXT NOT NULL,
    authorisation TEXT NOT NULL,
    currency TEXT NOT NULL,
    gross_minor NUMERIC(38, 0) NOT NULL,
    fee_minor NUMERIC(38, 0) NOT NULL,
    net_minor NUMERIC(38, 0) NOT NULL,
    settled_on DATE NOT NULL,
    attempt_id UUID,
    dispute_id UUID,
    CONSTRAINT settlement_lines_pk PRIMARY KEY (file_id, line),
    CONSTRAINT settlement_lines_file FOREIGN KEY (file_id) REFERENCES gateway.settlement_files,
    CONSTRAINT settlement_lines_kind CHECK (kind IN ('captured', 'refunded', 'chargeback')),
    CONSTRAINT settlement_lines_net CHECK (net_minor = gross_minor - fee_minor),
    -- I4: what an acquirer owes for a capture is cleared once.
    CONSTRAINT settlement_lines_clear_once UNIQUE (attempt_id),
    CONSTRAINT settlement_lines_charge_back_once UNIQUE (dispute_id),
    CONSTRAINT settlement_lines_of_one CHECK (attempt_id IS NULL OR dispute_id IS NULL)
);

-- Where an acquirer's file and our books differ: a line that cleared nothing, or a capture or refund without a line.
CREATE TABLE gateway.settlement_differences (
    difference_id UUID NOT NULL,
    connector TEXT NOT NULL,
    file_id UUID,
    line INT,
    attempt_id UUID,
    reference TEXT NOT NULL,
    reason TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount_minor NUMERIC(38, 0) NOT NULL,
    expected TEXT NOT NULL,
    found TEXT NOT NULL,
    state TEXT NOT NULL,
    opened_at TIMESTAMPTZ NOT NULL,
    resolved_at TIMESTAMPTZ,
    resolution TEXT,
    CONSTRAINT settlement_differences_pk PRIMARY KEY (difference_id),
    CONSTRAINT settlement_differences_line FOREIGN KEY (file_id, line)
    REFERENCES gateway.settlement_lines (file_id, line),
    CONSTRAINT settlement_differences_reason CHECK (
        reason IN (
            'unknown_reference', 'duplicate', 'kind_differs', 'currency_differs', 'amount_differs', 'not_done',
            'chargeback', 'missing'
        )
    ),
    CONSTRAINT settlement_differences_missing CHECK ((reason = 'missing') = (file_id IS NULL)),
    CONSTRAINT settlement_differences_state CHECK (state IN ('open', 'resolved')),
    CONSTRAINT settlement_differences_resolved CHECK (
        (state = 'resolved') = (resolved_at IS NOT NULL AND resolution IS NOT NULL)
    )
);
CREATE INDEX settlement_differences_open
ON gateway.settlement_differences (connector, reason) WHERE state = 'open';
CREATE INDEX settlement_differences_by_attempt ON gateway.settlement_differences (attempt_id);

-- When a line cleared an attempt. The index has what acquirers still owe or are owed, the oldest first.
ALTER TABLE gateway.attempts ADD COLUMN settled_at TIMESTAMPTZ;
CREATE INDEX attempts_unsettled ON gateway.attempts (connector, answered_at)
WHERE state = 'succeeded' AND step IN ('capture', 'refund') AND settled_at IS NULL;

CREATE INDEX settlement_differences_newest ON gateway.settlement_differences (connector, opened_at, difference_id);

GRANT SELECT, INSERT ON gateway.settlement_files, gateway.settlement_lines TO rialto_gateway;
GRANT SELECT, INSERT, UPDATE (state, resolved_at, resolution) ON gateway.settlement_differences TO rialto_gateway;
GRANT SELECT ON gateway.settlement_files, gateway.settlement_lines, gateway.settlement_differences TO rialto_auditor;
