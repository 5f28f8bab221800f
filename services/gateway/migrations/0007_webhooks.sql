-- What merchants are told: one row an event, from which the list of events and the deliveries to endpoints come.
-- No foreign keys: the payment's row is the handler's own, and an event outlives no retention that its deliveries do not.
CREATE TABLE gateway.merchant_events (
    event_id UUID NOT NULL,
    merchant_id UUID NOT NULL,
    mode TEXT NOT NULL,
    type TEXT NOT NULL,
    object_id UUID NOT NULL,
    payment_id UUID NOT NULL,
    sequence BIGINT NOT NULL,
    body TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT merchant_events_pk PRIMARY KEY (event_id),
    CONSTRAINT merchant_events_mode CHECK (mode IN ('test', 'live'))
);
-- A page of some types is a few probes a type, however many events there are; a page of all types is one of each.
CREATE INDEX merchant_events_by_type ON gateway.merchant_events (merchant_id, mode, type, created_at, event_id);
CREATE INDEX merchant_events_by_object ON gateway.merchant_events (object_id, created_at);

-- Two secrets sign while a rotation's overlap lasts. A disabled endpoint is told nothing new, and what waits, waits.
ALTER TABLE gateway.webhook_endpoints
ADD COLUMN previous_secret BYTEA,
ADD COLUMN previous_secret_until TIMESTAMPTZ,
ADD COLUMN disabled_at TIMESTAMPTZ,
ADD COLUMN updated_at TIMESTAMPTZ,
ADD CONSTRAINT webhook_endpoints_rotation CHECK ((previous_secret IS NULL) = (previous_secret_until IS NULL));

-- How an endpoint fares. Whoever claims or records deliveries to it holds this row: one at a time, and never the
-- transaction that puts a message in line.
CREATE TABLE gateway.webhook_breakers (
    endpoint_id UUID NOT NULL,
    state TEXT NOT NULL DEFAULT 'closed',
    failures INT NOT NULL DEFAULT 0,
    trips INT NOT NULL DEFAULT 0,
    width INT NOT NULL DEFAULT 1,
    opened_at TIMESTAMPTZ,
    probe_at TIMESTAMPTZ,
    CONSTRAINT webhook_breakers_pk PRIMARY KEY (endpoint_id),
    CONSTRAINT webhook_breakers_endpoint FOREIGN KEY (endpoint_id) REFERENCES gateway.webhook_endpoints,
    CONSTRAINT webhook_breakers_state CHECK (state IN ('closed', 'open', 'half_open')),
    CONSTRAINT webhook_breakers_probe CHECK ((state = 'closed') = (probe_at IS NULL))
) WITH (fillfactor = 50);
CREATE INDEX webhook_breakers_open ON gateway.webhook_breakers (endpoint_id) WHERE state <> 'closed';
INSERT INTO gateway.webhook_breakers (endpoint_id) SELECT endpoint_id FROM gateway.webhook_endpoints;

-- `line` is whose turn is kept: the payment's, or one of its own for what is sent again. `place` is the order in it.
-- `waiting` is behind another of its line and due only after it; all else that is not at its end has a time.
-- `body` is null where the event has it. Deliveries made before this have ids without a time, which no retention finds.
ALTER TABLE gateway.webhook_deliveries
DROP CONSTRAINT webhook_deliveries_state,
ALTER COLUMN body DROP NOT NULL,
ADD COLUMN event_id UUID,
ADD COLUMN message_id UUID,
ADD COLUMN line UUID,
ADD COLUMN place BIGINT NOT NULL DEFAULT 0,
ADD COLUMN earlier_attempts INT NOT NULL DEFAULT 0,
ADD COLUMN test BOOLEAN NOT NULL DEFAULT FALSE,
ADD CONSTRAINT webhook_deliveries_state CHECK (
    state IN ('pending', 'waiting', 'sending', 'delivered', 'given_up')
),
ADD CONSTRAINT webhook_deliveries_due CHECK ((next_attempt_at IS NOT NULL) = (state IN ('pending', 'sending'))),
ADD CONSTRAINT webhook_deliveries_body CHECK (body IS NOT NULL OR event_id IS NOT NULL);
UPDATE gateway.webhook_deliveries
SET line = payment_id, place = (body::JSON -> 'data' ->> 'sequence')::BIGINT;
ALTER TABLE gateway.webhook_deliveries ALTER COLUMN line SET NOT NULL;
DROP INDEX gateway.webhook_deliveries_due;
CREATE INDEX webhook_deliveries_due ON gateway.webhook_deliveries (endpoint_id, next_attempt_at)
WHERE next_attempt_at IS NOT NULL;
CREATE INDEX webhook_deliveries_line ON gateway.webhook_deliveries (endpoint_id, line, place)
WHERE state IN ('pending', 'waiting', 'sending');
CREATE INDEX webhook_deliveries_sending ON gateway.webhook_deliveries (endpoint_id) WHERE state = 'sending';
CREATE INDEX webhook_deliveries_log ON gateway.webhook_deliveries (endpoint_id, created_at, delivery_id);

-- `response` is the beginning of the answer's body, encrypted: what a merchant's server says is for that merchant.
ALTER TABLE gateway.webhook_attempts
ADD COLUMN duration_ms INT,
ADD COLUMN response BYTEA;

GRANT SELECT, INSERT, DELETE ON gateway.merchant_events TO rialto_gateway;
GRANT SELECT, INSERT, UPDATE ON gateway.webhook_breakers TO rialto_gateway;
GRANT DELETE ON gateway.webhook_deliveries, gateway.webhook_attempts TO rialto_gateway;
