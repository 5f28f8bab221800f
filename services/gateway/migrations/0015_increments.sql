-- Incremental authorisation: payments that are raised, and each time that one was asked to be.
--
-- `amount_assessed_minor` is what a payment came to before the first increment was asked for, `increment_to_minor` what the
-- one under way is to bring it to; both are null for a payment that nobody raised.
ALTER TABLE gateway.payments
ADD COLUMN increments INT NOT NULL DEFAULT 0,
ADD COLUMN increment_to_minor NUMERIC(38, 0),
ADD COLUMN amount_assessed_minor NUMERIC(38, 0),
ADD CONSTRAINT payments_raised CHECK (
    increment_to_minor > amount_minor AND amount_assessed_minor <= amount_minor
    AND (increments > 0) = (amount_assessed_minor IS NOT NULL)
);

CREATE TABLE gateway.increments (
    increment_id UUID NOT NULL,
    payment_id UUID NOT NULL,
    ordinal INT NOT NULL,
    amount_before_minor NUMERIC(38, 0) NOT NULL,
    amount_minor NUMERIC(38, 0) NOT NULL,
    state TEXT NOT NULL,
    failure_code TEXT,
    idempotency_key TEXT,
    request_hash BYTEA,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT increments_pk PRIMARY KEY (increment_id),
    CONSTRAINT increments_payment FOREIGN KEY (payment_id) REFERENCES gateway.payments,
    CONSTRAINT increments_ordinal UNIQUE (payment_id, ordinal),
    CONSTRAINT increments_idempotency UNIQUE (payment_id, idempotency_key),
    CONSTRAINT increments_raise CHECK (amount_minor > amount_before_minor),
    CONSTRAINT increments_state CHECK (state IN ('pending', 'succeeded', 'failed')),
    CONSTRAINT increments_failure CHECK ((failure_code IS NOT NULL) = (state = 'failed'))
) WITH (fillfactor = 80);
-- One at a time: how much is authorised is known but for one step.
CREATE UNIQUE INDEX increments_one_under_way ON gateway.increments (payment_id) WHERE state = 'pending';

ALTER TABLE gateway.attempts DROP CONSTRAINT attempts_step;
ALTER TABLE gateway.attempts
ADD CONSTRAINT attempts_step CHECK (step IN ('authorise', 'increment', 'capture', 'void', 'refund'));

GRANT SELECT, INSERT, UPDATE ON gateway.increments TO rialto_gateway;
GRANT SELECT ON gateway.increments TO rialto_auditor;
