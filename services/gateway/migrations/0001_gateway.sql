-- The gateway: merchants and their keys, wallets' owners, payments with deadlines and timeline, webhooks.
CREATE SCHEMA gateway;
GRANT USAGE ON SCHEMA gateway TO rialto_gateway, rialto_auditor;
SELECT bus.create_consumer_tables('gateway', 'rialto_gateway');

CREATE TABLE gateway.merchants (
    merchant_id UUID NOT NULL,
    name TEXT NOT NULL,
    country TEXT,
    settlement_address TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT merchants_pk PRIMARY KEY (merchant_id)
);

-- Keys are kept as HMAC-SHA256 under a pepper that the database does not hold.
CREATE TABLE gateway.api_keys (
    key_hash BYTEA NOT NULL,
    merchant_id UUID NOT NULL,
    mode TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    revoked_at TIMESTAMPTZ,
    CONSTRAINT api_keys_pk PRIMARY KEY (key_hash),
    CONSTRAINT api_keys_merchant FOREIGN KEY (merchant_id) REFERENCES gateway.merchants,
    CONSTRAINT api_keys_mode CHECK (mode IN ('test', 'live'))
);

-- Answers of requests that are not payments, by the caller's idempotency key; `answer` is encrypted.
CREATE TABLE gateway.idempotent_answers (
    scope TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    request_hash BYTEA NOT NULL,
    resource_id UUID NOT NULL,
    answer BYTEA,
    created_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT idempotent_answers_pk PRIMARY KEY (scope, idempotency_key)
);

-- Who owns a wallet; its money is the ledger's. merchant_id is null for a wallet of the platform.
CREATE TABLE gateway.wallets (
    wallet_id UUID NOT NULL,
    merchant_id UUID,
    mode TEXT NOT NULL,
    currency TEXT NOT NULL,
    metadata JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT wallets_pk PRIMARY KEY (wallet_id),
    CONSTRAINT wallets_merchant FOREIGN KEY (merchant_id) REFERENCES gateway.merchants,
    CONSTRAINT wallets_mode CHECK (mode IN ('test', 'live'))
);

-- No index on anything that changes: state changes stay heap-only updates. No foreign key to the merchant either: each
-- payment would lock the same merchant's row, and the role can delete neither.
CREATE TABLE gateway.payments (
    payment_id UUID NOT NULL,
    merchant_id UUID NOT NULL,
    mode TEXT NOT NULL,
    shard SMALLINT NOT NULL,
    idempotency_key TEXT NOT NULL,
    request_hash BYTEA NOT NULL,
    amount_minor NUMERIC(38, 0) NOT NULL,
    currency TEXT NOT NULL,
    wallet_id UUID NOT NULL,
    capture_method TEXT NOT NULL,
    terminal_id TEXT,
    description TEXT,
    metadata JSON NOT NULL,
    payer JSON NOT NULL,
    payee JSON,
    payee_address TEXT NOT NULL,
    occurred_at TIMESTAMPTZ NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    decline_code TEXT,
    fraud TEXT,
    compliance TEXT,
    amount_captured_minor NUMERIC(38, 0) NOT NULL DEFAULT 0,
    capture_pending_minor NUMERIC(38, 0) NOT NULL DEFAULT 0,
    captures INT NOT NULL DEFAULT 0,
    void_reason TEXT,
    asked INT NOT NULL DEFAULT 0,
    settlement JSON,
    authorised_at TIMESTAMPTZ,
    deadline_at TIMESTAMPTZ,
    sequence BIGINT NOT NULL DEFAULT 1,
    traceparent TEXT,
    CONSTRAINT payments_pk PRIMARY KEY (payment_id),
    CONSTRAINT payments_idempotency UNIQUE (merchant_id, mode, idempotency_key),
    CONSTRAINT payments_mode CHECK (mode IN ('test', 'live')),
    CONSTRAINT payments_state CHECK (state IN (
        'created', 'review', 'approved', 'requires_action', 'unknown', 'authorised', 'captured', 'settled', 'declined',
        'voided', 'expired', 'failed'
    )),
    CONSTRAINT payments_amount_positive CHECK (amount_minor > 0),
    CONSTRAINT payments_captured_within CHECK (
        amount_captured_minor >= 0 AND capture_pending_minor >= 0
        AND amount_captured_minor + capture_pending_minor <= amount_minor
    ),
    -- I3: what is not final has a deadline, what is final has none.
    CONSTRAINT payments_deadline CHECK (
        (deadline_at IS NULL) = (state IN ('settled', 'declined', 'voided', 'expired', 'failed'))
    )
) WITH (fillfactor = 60);
CREATE INDEX payments_by_merchant ON gateway.payments (merchant_id, mode, payment_id);

-- A row per payment that is not final, apart from the payment so that moving a deadline rewrites little.
CREATE TABLE gateway.deadlines (
    payment_id UUID NOT NULL,
    due_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT deadlines_pk PRIMARY KEY (payment_id)
);
CREATE INDEX deadlines_by_due ON gateway.deadlines (due_at);

CREATE TABLE gateway.timeline (
    payment_id UUID NOT NULL,
    nth BIGINT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    state TEXT NOT NULL,
    event TEXT NOT NULL,
    cause TEXT,
    actor TEXT NOT NULL,
    detail JSON,
    CONSTRAINT timeline_pk PRIMARY KEY (payment_id, nth)
);
CREATE INDEX timeline_by_time ON gateway.timeline (at, payment_id);

CREATE TABLE gateway.captures (
    capture_id UUID NOT NULL,
    payment_id UUID NOT NULL,
    ordinal INT NOT NULL,
    amount_minor NUMERIC(38, 0) NOT NULL,
    final BOOLEAN NOT NULL,
    state TEXT NOT NULL,
    failure_code TEXT,
    idempotency_key TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT captures_idempotency UNIQUE (payment_id, idempotency_key),
    CONSTRAINT captures_pk PRIMARY KEY (capture_id),
    CONSTRAINT captures_ordinal UNIQUE (payment_id, ordinal),
    CONSTRAINT captures_amount_positive CHECK (amount_minor > 0),
    CONSTRAINT captures_state CHECK (state IN ('pending', 'succeeded', 'failed'))
) WITH (fillfactor = 80);

CREATE TABLE gateway.webhook_endpoints (
    endpoint_id UUID NOT NULL,
    merchant_id UUID NOT NULL,
    mode TEXT NOT NULL,
    url TEXT NOT NULL,
    events TEXT[] NOT NULL,
    secret BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    deleted_at TIMESTAMPTZ,
    CONSTRAINT webhook_endpoints_pk PRIMARY KEY (endpoint_id),
    CONSTRAINT webhook_endpoints_merchant FOREIGN KEY (merchant_id) REFERENCES gateway.merchants
);
CREATE INDEX webhook_endpoints_by_merchant ON gateway.webhook_endpoints (merchant_id, mode);

-- One row a message and endpoint; next_attempt_at is null once it is delivered or given up.
CREATE TABLE gateway.webhook_deliveries (
    delivery_id UUID NOT NULL,
    endpoint_id UUID NOT NULL,
    payment_id UUID NOT NULL,
    event TEXT NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INT NOT NULL DEFAULT 0,
    next_attempt_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT webhook_deliveries_pk PRIMARY KEY (delivery_id),
    CONSTRAINT webhook_deliveries_endpoint FOREIGN KEY (endpoint_id) REFERENCES gateway.webhook_endpoints,
    CONSTRAINT webhook_deliveries_state CHECK (state IN ('pending', 'delivered', 'given_up'))
);
CREATE INDEX webhook_deliveries_due ON gateway.webhook_deliveries (next_attempt_at) WHERE next_attempt_at IS NOT NULL;

CREATE TABLE gateway.webhook_attempts (
    delivery_id UUID NOT NULL,
    nth INT NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    state TEXT NOT NULL,
    status INT,
    error TEXT,
    CONSTRAINT webhook_attempts_pk PRIMARY KEY (delivery_id, nth),
    CONSTRAINT webhook_attempts_delivery FOREIGN KEY (delivery_id) REFERENCES gateway.webhook_deliveries,
    CONSTRAINT webhook_attempts_state CHECK (state IN ('started', 'succeeded', 'failed', 'unknown'))
);

GRANT SELECT, INSERT ON gateway.merchants, gateway.wallets, gateway.timeline TO rialto_gateway;
GRANT SELECT, INSERT, UPDATE ON
gateway.api_keys, gateway.idempotent_answers, gateway.payments, gateway.captures, gateway.webhook_endpoints,
gateway.webhook_deliveries, gateway.webhook_attempts TO rialto_gateway;
GRANT SELECT, INSERT, UPDATE, DELETE ON gateway.deadlines TO rialto_gateway;
GRANT SELECT ON
gateway.merchants, gateway.wallets, gateway.payments, gateway.deadlines, gateway.timeline, gateway.captures,
gateway.webhook_deliveries, gateway.webhook_attempts TO rialto_auditor;
