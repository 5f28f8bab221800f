-- A payer's dispute of a payment by card, one row each, however often the acquirer tells of it: `reference` is the
-- acquirer's. `evidence` is sealed under the payer's key. `sending` is what the acquirer is to be told; `due_at` is when it
-- is told, or asked how the dispute stands: null once it has ended. `settled_at`: when a settlement file took it back. A worker that takes it moves it ahead, as a lease.
CREATE TABLE gateway.disputes (
    dispute_id UUID NOT NULL,
    payment_id UUID NOT NULL,
    merchant_id UUID NOT NULL,
    mode TEXT NOT NULL,
    currency TEXT NOT NULL,
    connector TEXT NOT NULL,
    reference TEXT NOT NULL,
    amount_minor NUMERIC(38, 0) NOT NULL,
    fee_minor NUMERIC(38, 0) NOT NULL,
    reason TEXT NOT NULL,
    state TEXT NOT NULL,
    cause TEXT,
    evidence JSON,
    evidence_at TIMESTAMPTZ,
    submitted_at TIMESTAMPTZ,
    sending TEXT,
    asks INT NOT NULL,
    respond_by TIMESTAMPTZ NOT NULL,
    opened_at TIMESTAMPTZ NOT NULL,
    closed_at TIMESTAMPTZ,
    settled_at TIMESTAMPTZ,
    due_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT disputes_pk PRIMARY KEY (dispute_id),
    CONSTRAINT disputes_reference UNIQUE (connector, reference),
    CONSTRAINT disputes_mode CHECK (mode IN ('test', 'live')),
    CONSTRAINT disputes_amount_positive CHECK (amount_minor > 0),
    CONSTRAINT disputes_fee_not_negative CHECK (fee_minor >= 0),
    CONSTRAINT disputes_state CHECK (state IN ('needs_response', 'under_review', 'accepted', 'won', 'lost')),
    CONSTRAINT disputes_cause CHECK ((cause IS NOT NULL) = (state = 'lost')),
    CONSTRAINT disputes_sending CHECK (sending IN ('evidence', 'acceptance')),
    CONSTRAINT disputes_sends_evidence CHECK (sending IS DISTINCT FROM 'evidence' OR evidence IS NOT NULL),
    -- I3: what is open is asked about again, what has ended is not.
    CONSTRAINT disputes_due CHECK ((due_at IS NULL) = (state IN ('won', 'lost'))),
    CONSTRAINT disputes_closed CHECK ((closed_at IS NULL) = (due_at IS NOT NULL))
) WITH (fillfactor = 80);
CREATE INDEX disputes_by_merchant ON gateway.disputes (merchant_id, mode, created_at, dispute_id);
CREATE INDEX disputes_by_payment ON gateway.disputes (payment_id);
CREATE INDEX disputes_due ON gateway.disputes (due_at) WHERE due_at IS NOT NULL;

-- What of a payment is disputed, or was lost in a dispute.
ALTER TABLE gateway.payments
ADD COLUMN amount_disputed_minor NUMERIC(38, 0) NOT NULL DEFAULT 0,
ADD CONSTRAINT payments_disputed_within CHECK (
    amount_disputed_minor >= 0 AND amount_disputed_minor <= amount_captured_minor
);

GRANT SELECT, INSERT, UPDATE ON gateway.disputes TO rialto_gateway;
GRANT SELECT ON gateway.disputes TO rialto_auditor;
