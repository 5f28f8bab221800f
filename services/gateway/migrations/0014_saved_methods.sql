-- Cards kept for a customer, and mandates: what a merchant may charge to one when the customer is not there.
--
-- `token` is the acquirer's, encrypted and bound to the row; it is gone once the method is detached or its customer deleted.
CREATE TABLE gateway.saved_methods (
    method_id UUID NOT NULL,
    customer_id UUID NOT NULL,
    merchant_id UUID NOT NULL,
    mode TEXT NOT NULL,
    token BYTEA,
    fingerprint TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    detached_at TIMESTAMPTZ,
    CONSTRAINT saved_methods_pk PRIMARY KEY (method_id),
    CONSTRAINT saved_methods_customer FOREIGN KEY (customer_id) REFERENCES gateway.customers,
    CONSTRAINT saved_methods_mode CHECK (mode IN ('test', 'live')),
    CONSTRAINT saved_methods_token_gone_with_detaching CHECK ((token IS NULL) = (detached_at IS NOT NULL))
);
CREATE INDEX saved_methods_by_customer ON gateway.saved_methods (customer_id, method_id);

-- Amounts in minor units of `currency`: the most of one payment, and, where there is a `period`, of all in one.
CREATE TABLE gateway.mandates (
    mandate_id UUID NOT NULL,
    method_id UUID NOT NULL,
    merchant_id UUID NOT NULL,
    mode TEXT NOT NULL,
    currency TEXT NOT NULL,
    max_amount_minor NUMERIC(38, 0) NOT NULL,
    period TEXT,
    period_amount_minor NUMERIC(38, 0),
    period_payments INT,
    accepted_at TIMESTAMPTZ NOT NULL,
    starts_at TIMESTAMPTZ NOT NULL,
    ends_at TIMESTAMPTZ,
    metadata JSON NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    revoked_at TIMESTAMPTZ,
    CONSTRAINT mandates_pk PRIMARY KEY (mandate_id),
    CONSTRAINT mandates_method FOREIGN KEY (method_id) REFERENCES gateway.saved_methods,
    CONSTRAINT mandates_mode CHECK (mode IN ('test', 'live')),
    CONSTRAINT mandates_period CHECK (period IN ('day', 'week', 'month', 'year')),
    CONSTRAINT mandates_limits_of_a_period CHECK (
        period IS NOT NULL OR (period_amount_minor IS NULL AND period_payments IS NULL)
    ),
    CONSTRAINT mandates_limits_positive CHECK (max_amount_minor > 0 AND period_amount_minor > 0 AND period_payments > 0),
    CONSTRAINT mandates_ends_after_start CHECK (ends_at > starts_at)
);
CREATE INDEX mandates_by_method ON gateway.mandates (method_id, mandate_id);
CREATE INDEX mandates_by_merchant ON gateway.mandates (merchant_id, mode, mandate_id);

-- What was charged under a mandate, by the idempotency key of its payment: recorded before the payment is accepted.
CREATE TABLE gateway.mandate_uses (
    mandate_id UUID NOT NULL,
    idempotency_key TEXT NOT NULL,
    amount_minor NUMERIC(38, 0) NOT NULL,
    used_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT mandate_uses_pk PRIMARY KEY (mandate_id, idempotency_key),
    CONSTRAINT mandate_uses_mandate FOREIGN KEY (mandate_id) REFERENCES gateway.mandates
);
CREATE INDEX mandate_uses_by_time ON gateway.mandate_uses (mandate_id, used_at);

GRANT SELECT, INSERT ON gateway.saved_methods, gateway.mandates, gateway.mandate_uses TO rialto_gateway;
GRANT UPDATE (token, detached_at) ON gateway.saved_methods TO rialto_gateway;
-- A row is locked FOR UPDATE only by a role that may update some of its columns: this one.
GRANT UPDATE (revoked_at) ON gateway.mandates TO rialto_gateway;
GRANT UPDATE (used_at, amount_minor), DELETE ON gateway.mandate_uses TO rialto_gateway;
