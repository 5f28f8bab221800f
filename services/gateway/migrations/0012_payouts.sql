-- What is captured and not yet paid, one row a payment: from its first booked capture until its settlement is confirmed.
-- Apart from the payments, whose state has no index. `waiting` for a payout; else still being captured, or being paid.
CREATE TABLE gateway.payables (
    payment_id UUID NOT NULL,
    merchant_id UUID NOT NULL,
    mode TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount_minor NUMERIC(38, 0) NOT NULL,
    waiting BOOLEAN NOT NULL,
    CONSTRAINT payables_pk PRIMARY KEY (payment_id),
    CONSTRAINT payables_amount_positive CHECK (amount_minor > 0)
) WITH (fillfactor = 80);
CREATE INDEX payables_by_merchant ON gateway.payables (merchant_id, mode, currency, payment_id);
INSERT INTO gateway.payables (payment_id, merchant_id, mode, currency, amount_minor, waiting)
SELECT payment_id, merchant_id, mode, currency, amount_captured_minor, FALSE
FROM gateway.payments WHERE state IN ('authorised', 'captured') AND amount_captured_minor > 0;

GRANT SELECT, INSERT, UPDATE, DELETE ON gateway.payables TO rialto_gateway;
GRANT SELECT ON gateway.payables TO rialto_auditor;

-- When a merchant is paid; without a row at once, each payment by itself. `next_at` is when the schedule next looks at
-- what waits; `payouts` counts those ever made, so that one sees whether another was made meanwhile.
CREATE TABLE gateway.payout_settings (
    merchant_id UUID NOT NULL,
    mode TEXT NOT NULL,
    schedule TEXT NOT NULL,
    cut_off_hour SMALLINT NOT NULL,
    reserve_bps INT NOT NULL DEFAULT 0,
    reserve_days INT NOT NULL DEFAULT 0,
    next_at TIMESTAMPTZ,
    payouts INT NOT NULL DEFAULT 0,
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT payout_settings_pk PRIMARY KEY (merchant_id, mode),
    CONSTRAINT payout_settings_merchant FOREIGN KEY (merchant_id) REFERENCES gateway.merchants,
    CONSTRAINT payout_settings_mode CHECK (mode IN ('test', 'live')),
    CONSTRAINT payout_settings_schedule CHECK (schedule IN ('immediate', 'daily', 'manual')),
    CONSTRAINT payout_settings_hour CHECK (cut_off_hour BETWEEN 0 AND 23),
    CONSTRAINT payout_settings_reserve CHECK (
        reserve_bps BETWEEN 0 AND 10000 AND reserve_days BETWEEN 0 AND 365 AND (reserve_bps = 0) = (reserve_days = 0)
    ),
    -- What is paid at once cannot be held back.
    CONSTRAINT payout_settings_reserve_waits CHECK (reserve_bps = 0 OR schedule <> 'immediate'),
    CONSTRAINT payout_settings_next CHECK (CASE schedule
        WHEN 'daily' THEN next_at IS NOT NULL WHEN 'manual' THEN next_at IS NULL ELSE TRUE
    END)
);
CREATE INDEX payout_settings_due ON gateway.payout_settings (next_at) WHERE next_at IS NOT NULL;

-- The rolling reserve: what of a day's captures (UTC, when they were booked) is held back for the merchant's reserve_days.
CREATE TABLE gateway.held_back (
    merchant_id UUID NOT NULL,
    mode TEXT NOT NULL,
    currency TEXT NOT NULL,
    day DATE NOT NULL,
    amount_minor NUMERIC(38, 0) NOT NULL,
    CONSTRAINT held_back_pk PRIMARY KEY (merchant_id, mode, currency, day),
    CONSTRAINT held_back_amount_positive CHECK (amount_minor > 0)
) WITH (fillfactor = 80);

-- A payout is what its payments are: `in_transit`, `paid` and `failed` count them. Its id is derived from its first.
CREATE TABLE gateway.payouts (
    payout_id UUID NOT NULL,
    merchant_id UUID NOT NULL,
    mode TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount_minor NUMERIC(38, 0) NOT NULL,
    payments INT NOT NULL,
    in_transit INT NOT NULL DEFAULT 0,
    paid INT NOT NULL DEFAULT 0,
    failed INT NOT NULL DEFAULT 0,
    asked_by TEXT NOT NULL,
    state TEXT NOT NULL,
    failure_code TEXT,
    sequence BIGINT NOT NULL,
    deadline_at TIMESTAMPTZ,
    idempotency_key TEXT,
    request_hash BYTEA,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT payouts_pk PRIMARY KEY (payout_id),
    CONSTRAINT payouts_idempotency UNIQUE (merchant_id, mode, idempotency_key),
    CONSTRAINT payouts_mode CHECK (mode IN ('test', 'live')),
    CONSTRAINT payouts_asked_by CHECK (asked_by IN ('schedule', 'merchant')),
    CONSTRAINT payouts_state CHECK (state IN ('pending', 'in_transit', 'paid', 'failed')),
    CONSTRAINT payouts_amount_positive CHECK (amount_minor > 0),
    CONSTRAINT payouts_counts CHECK (
        payments > 0 AND in_transit >= 0 AND paid >= 0 AND failed >= 0 AND in_transit + paid + failed <= payments
    ),
    CONSTRAINT payouts_failure CHECK ((failure_code IS NOT NULL) = (state = 'failed')),
    -- I3: what is not final has a deadline, what is final has none.
    CONSTRAINT payouts_deadline CHECK ((deadline_at IS NULL) = (state IN ('paid', 'failed')))
) WITH (fillfactor = 80);
CREATE INDEX payouts_by_merchant ON gateway.payouts (merchant_id, mode, created_at, payout_id);
CREATE INDEX payouts_due ON gateway.payouts (deadline_at) WHERE deadline_at IS NOT NULL;

CREATE TABLE gateway.payout_payments (
    payout_id UUID NOT NULL,
    payment_id UUID NOT NULL,
    amount_minor NUMERIC(38, 0) NOT NULL,
    state TEXT NOT NULL,
    code TEXT,
    CONSTRAINT payout_payments_pk PRIMARY KEY (payout_id, payment_id),
    -- I4: a payment is paid out once.
    CONSTRAINT payout_payments_once UNIQUE (payment_id),
    CONSTRAINT payout_payments_payout FOREIGN KEY (payout_id) REFERENCES gateway.payouts,
    CONSTRAINT payout_payments_state CHECK (state IN ('pending', 'in_transit', 'paid', 'failed')),
    CONSTRAINT payout_payments_code CHECK ((code IS NOT NULL) = (state = 'failed'))
) WITH (fillfactor = 80);

ALTER TABLE gateway.payments
ADD COLUMN waits_for_payout BOOLEAN NOT NULL DEFAULT FALSE,
ADD COLUMN payout_id UUID;

GRANT SELECT, INSERT, UPDATE ON gateway.payout_settings, gateway.held_back, gateway.payouts, gateway.payout_payments
TO rialto_gateway;
GRANT SELECT ON gateway.payout_settings, gateway.held_back, gateway.payouts, gateway.payout_payments TO rialto_auditor;
