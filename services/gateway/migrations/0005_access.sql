-- Idempotent answers: who works on one and until when, and an end to their keeping.
ALTER TABLE gateway.idempotent_answers ADD COLUMN leased_until TIMESTAMPTZ;
CREATE INDEX idempotent_answers_by_age ON gateway.idempotent_answers (created_at);
GRANT DELETE ON gateway.idempotent_answers TO rialto_gateway;

-- What a key may do, which version of the API it speaks, and how long it lives. Keys from before speak the version of then.
ALTER TABLE gateway.api_keys
ADD COLUMN key_id UUID,
ADD COLUMN kind TEXT NOT NULL DEFAULT 'secret',
ADD COLUMN scopes TEXT[] NOT NULL DEFAULT '{}',
ADD COLUMN api_version TEXT NOT NULL DEFAULT '2026-06-01',
ADD COLUMN hint TEXT NOT NULL DEFAULT '',
ADD COLUMN expires_at TIMESTAMPTZ,
ADD COLUMN last_used_at TIMESTAMPTZ,
ADD CONSTRAINT api_keys_kind CHECK (kind IN ('secret', 'publishable', 'restricted')),
ADD CONSTRAINT api_keys_scopes CHECK ((kind = 'restricted') = (cardinality(scopes) > 0));
UPDATE gateway.api_keys SET key_id = gen_random_uuid();
ALTER TABLE gateway.api_keys ALTER COLUMN key_id SET NOT NULL, ADD CONSTRAINT api_keys_id UNIQUE (key_id);
CREATE INDEX api_keys_by_merchant ON gateway.api_keys (merchant_id, mode, key_id);

-- Every administrative act, for good: the role may add and read, and change nothing.
CREATE TABLE gateway.audit_log (
    entry_id UUID NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    actor TEXT NOT NULL,
    act TEXT NOT NULL,
    object TEXT NOT NULL,
    merchant_id UUID,
    mode TEXT,
    request_id TEXT,
    CONSTRAINT audit_log_pk PRIMARY KEY (entry_id)
);
CREATE INDEX audit_log_by_merchant ON gateway.audit_log (merchant_id, entry_id);
GRANT SELECT, INSERT ON gateway.audit_log TO rialto_gateway;
GRANT SELECT ON gateway.audit_log TO rialto_auditor;

-- One token bucket a key, of which gateways take slices. Unlogged: after a crash buckets are full again, which harms nobody.
CREATE UNLOGGED TABLE gateway.rate_buckets (
    key_id UUID NOT NULL,
    tokens DOUBLE PRECISION NOT NULL,
    filled_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT rate_buckets_pk PRIMARY KEY (key_id)
) WITH (fillfactor = 50);
GRANT SELECT, INSERT, UPDATE ON gateway.rate_buckets TO rialto_gateway;
