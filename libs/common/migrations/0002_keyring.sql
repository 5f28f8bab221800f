-- One data key per person, wrapped by the master key; destroying it erases the person everywhere at once.
CREATE SCHEMA keyring;
GRANT USAGE ON SCHEMA keyring TO rialto_gateway, rialto_compliance;

CREATE TABLE keyring.keys (
    party_id UUID NOT NULL,
    key_id UUID NOT NULL,
    wrapped_key BYTEA,
    created_at TIMESTAMPTZ NOT NULL,
    destroyed_at TIMESTAMPTZ,
    CONSTRAINT keys_pk PRIMARY KEY (party_id),
    CONSTRAINT keys_key_id_unique UNIQUE (key_id),
    CONSTRAINT keys_destroyed_has_no_key CHECK ((wrapped_key IS NULL) = (destroyed_at IS NOT NULL))
);
-- The gateway seals (and erases on request); compliance only opens.
GRANT SELECT, INSERT, UPDATE (wrapped_key, destroyed_at) ON keyring.keys TO rialto_gateway;
GRANT SELECT ON keyring.keys TO rialto_compliance;
