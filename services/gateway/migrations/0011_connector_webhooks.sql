-- What acquirers told of themselves: each signed message once, however often it came, and what it came to. The body is
-- encrypted, as an acquirer may write anything into it. Forgotten after a time.
CREATE TABLE gateway.connector_webhooks (
    webhook_id UUID NOT NULL,
    connector TEXT NOT NULL,
    message_id TEXT NOT NULL,
    sha256 BYTEA NOT NULL,
    reference TEXT,
    says TEXT NOT NULL,
    body BYTEA NOT NULL,
    outcome TEXT NOT NULL,
    times INT NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    last_received_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT connector_webhooks_pk PRIMARY KEY (webhook_id),
    CONSTRAINT connector_webhooks_once UNIQUE (connector, message_id, sha256),
    CONSTRAINT connector_webhooks_times CHECK (times > 0),
    CONSTRAINT connector_webhooks_outcome CHECK (
        outcome IN ('received', 'applied', 'known', 'contradicts', 'unknown_reference', 'ignored')
    )
);
CREATE INDEX connector_webhooks_newest ON gateway.connector_webhooks (connector, received_at, webhook_id);
CREATE INDEX connector_webhooks_by_age ON gateway.connector_webhooks USING brin (received_at) WITH (autosummarize = on);

GRANT SELECT, INSERT, DELETE, UPDATE (outcome, times, last_received_at) ON gateway.connector_webhooks TO rialto_gateway;
