-- Payment links: a page of ours where anyone who has the link pays a merchant. Its address holds a secret of its own (`slug`);
-- the id, which shows when it was made, opens nothing.
CREATE TABLE gateway.payment_links (
    link_id UUID NOT NULL,
    slug TEXT NOT NULL,
    merchant_id UUID NOT NULL,
    mode TEXT NOT NULL,
    amount_minor NUMERIC(38, 0) NOT NULL,
    currency TEXT NOT NULL,
    description TEXT NOT NULL,
    return_url TEXT,
    metadata JSON NOT NULL,
    max_payments INT NOT NULL,
    expires_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    deactivated_at TIMESTAMPTZ,
    CONSTRAINT payment_links_pk PRIMARY KEY (link_id),
    CONSTRAINT payment_links_slug UNIQUE (slug),
    CONSTRAINT payment_links_merchant FOREIGN KEY (merchant_id) REFERENCES gateway.merchants,
    CONSTRAINT payment_links_mode CHECK (mode IN ('test', 'live')),
    CONSTRAINT payment_links_amount_positive CHECK (amount_minor > 0),
    CONSTRAINT payment_links_payments_positive CHECK (max_payments > 0)
);
CREATE INDEX payment_links_by_merchant ON gateway.payment_links (merchant_id, mode, link_id);

-- Who has pressed "Pay": each form that was shown has a nonce, and makes at most one payment, by this idempotency key.
CREATE TABLE gateway.payment_link_uses (
    link_id UUID NOT NULL,
    idempotency_key TEXT NOT NULL,
    used_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT payment_link_uses_pk PRIMARY KEY (link_id, idempotency_key),
    CONSTRAINT payment_link_uses_link FOREIGN KEY (link_id) REFERENCES gateway.payment_links
);

GRANT SELECT, INSERT, UPDATE (deactivated_at) ON gateway.payment_links TO rialto_gateway;
GRANT SELECT, INSERT, DELETE ON gateway.payment_link_uses TO rialto_gateway;
