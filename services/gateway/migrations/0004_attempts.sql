-- Payments by card: attempts at acquirers, refunds, and what a payment keeps of them.
--
-- `card` is null for a wallet's payment: {token, fingerprint, return_url, descriptor}, the token encrypted.
ALTER TABLE gateway.payments
ALTER COLUMN wallet_id DROP NOT NULL,
ADD COLUMN card JSON,
ADD COLUMN authorisations INT NOT NULL DEFAULT 0,
ADD COLUMN voids INT NOT NULL DEFAULT 0,
ADD COLUMN connector TEXT,
ADD COLUMN acquirer_reference TEXT,
ADD COLUMN next_action_url TEXT,
ADD COLUMN amount_refunded_minor NUMERIC(38, 0) NOT NULL DEFAULT 0,
ADD COLUMN refund_pending_minor NUMERIC(38, 0) NOT NULL DEFAULT 0,
ADD COLUMN refunds INT NOT NULL DEFAULT 0,
ADD CONSTRAINT payments_one_method CHECK ((wallet_id IS NULL) = (card IS NOT NULL)),
ADD CONSTRAINT payments_refunded_within CHECK (
    amount_refunded_minor >= 0 AND refund_pending_minor >= 0
    AND amount_refunded_minor + refund_pending_minor <= amount_captured_minor
);

-- One row a question to an acquirer; its id in text form is the reference that the acquirer knows it by. `due_at` is when
-- it is next sent or asked about, null once it has ended; a worker that takes it moves it ahead, as a lease.
CREATE TABLE gateway.attempts (
    attempt_id UUID NOT NULL,
    payment_id UUID NOT NULL,
    merchant_id UUID NOT NULL,
    mode TEXT NOT NULL,
    currency TEXT NOT NULL,
    step TEXT NOT NULL,
    ordinal INT NOT NULL,
    subject_id UUID,
    connector TEXT,
    acquirer_authorisation TEXT,
    amount_minor NUMERIC(38, 0) NOT NULL,
    final BOOLEAN NOT NULL,
    state TEXT NOT NULL,
    code TEXT,
    connector_code TEXT,
    connector_reference TEXT,
    url TEXT,
    asks INT NOT NULL DEFAULT 0,
    asked_at TIMESTAMPTZ NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    started_at TIMESTAMPTZ,
    unknown_since TIMESTAMPTZ,
    answered_at TIMESTAMPTZ,
    overdue_at TIMESTAMPTZ,
    due_at TIMESTAMPTZ,
    CONSTRAINT attempts_pk PRIMARY KEY (attempt_id),
    CONSTRAINT attempts_mode CHECK (mode IN ('test', 'live')),
    CONSTRAINT attempts_step CHECK (step IN ('authorise', 'capture', 'void', 'refund')),
    CONSTRAINT attempts_state CHECK (
        state IN ('queued', 'started', 'pending', 'requires_action', 'unknown', 'succeeded', 'failed')
    ),
    CONSTRAINT attempts_amount_positive CHECK (amount_minor > 0),
    -- I3: what is open is looked at again, what has ended is not.
    CONSTRAINT attempts_due CHECK ((due_at IS NULL) = (state IN ('succeeded', 'failed'))),
    CONSTRAINT attempts_sent_somewhere CHECK (state IN ('queued', 'failed') OR connector IS NOT NULL)
) WITH (fillfactor = 70);
CREATE INDEX attempts_by_payment ON gateway.attempts (payment_id);
CREATE INDEX attempts_due ON gateway.attempts (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE gateway.refunds (
    refund_id UUID NOT NULL,
    payment_id UUID NOT NULL,
    merchant_id UUID NOT NULL,
    mode TEXT NOT NULL,
    currency TEXT NOT NULL,
    ordinal INT NOT NULL,
    amount_minor NUMERIC(38, 0) NOT NULL,
    reason TEXT,
    metadata JSON NOT NULL,
    state TEXT NOT NULL,
    failure_code TEXT,
    idempotency_key TEXT,
    request_hash BYTEA,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT refunds_pk PRIMARY KEY (refund_id),
    CONSTRAINT refunds_ordinal UNIQUE (payment_id, ordinal),
    CONSTRAINT refunds_idempotency UNIQUE (payment_id, idempotency_key),
    CONSTRAINT refunds_mode CHECK (mode IN ('test', 'live')),
    CONSTRAINT refunds_amount_positive CHECK (amount_minor > 0),
    CONSTRAINT refunds_state CHECK (state IN ('pending', 'succeeded', 'failed')),
    CONSTRAINT refunds_failure CHECK ((failure_code IS NOT NULL) = (state = 'failed'))
) WITH (fillfactor = 80);
-- The refunds of a day, as captures_by_time.
CREATE INDEX refunds_by_time ON gateway.refunds USING brin (created_at) WITH (autosummarize = on);

GRANT SELECT, INSERT, UPDATE ON gateway.attempts, gateway.refunds TO rialto_gateway;
GRANT SELECT ON gateway.attempts, gateway.refunds TO rialto_auditor;
