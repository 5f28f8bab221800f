-- Customers: who a merchant's payers are to it. What is known of the person is sealed under a key of the customer's own, and
-- erased with it; the row stays, so that what names the customer still makes sense.
CREATE TABLE gateway.customers (
    customer_id UUID NOT NULL,
    merchant_id UUID NOT NULL,
    mode TEXT NOT NULL,
    person JSON,
    metadata JSON NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    deleted_at TIMESTAMPTZ,
    CONSTRAINT customers_pk PRIMARY KEY (customer_id),
    CONSTRAINT customers_merchant FOREIGN KEY (merchant_id) REFERENCES gateway.merchants,
    CONSTRAINT customers_mode CHECK (mode IN ('test', 'live')),
    CONSTRAINT customers_erased_with_deletion CHECK ((person IS NULL) = (deleted_at IS NOT NULL))
);
CREATE INDEX customers_by_merchant ON gateway.customers (merchant_id, mode, customer_id);

GRANT SELECT, INSERT ON gateway.customers TO rialto_gateway;
GRANT UPDATE (person, metadata, updated_at, deleted_at) ON gateway.customers TO rialto_gateway;
