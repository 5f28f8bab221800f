-- What merchants pay for their payments. A merchant's prices; without one there is no fee. The price of a payment is the
-- one that names most of its method and currency.
CREATE TABLE gateway.prices (
    merchant_id UUID NOT NULL,
    mode TEXT NOT NULL,
    method TEXT NOT NULL,
    currency TEXT NOT NULL,
    bps INT NOT NULL,
    fixed_minor NUMERIC(38, 0) NOT NULL,
    set_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT prices_pk PRIMARY KEY (merchant_id, mode, method, currency),
    CONSTRAINT prices_merchant FOREIGN KEY (merchant_id) REFERENCES gateway.merchants,
    CONSTRAINT prices_mode CHECK (mode IN ('test', 'live')),
    CONSTRAINT prices_method CHECK (method IN ('any', 'wallet', 'card')),
    CONSTRAINT prices_within CHECK (bps BETWEEN 0 AND 10000 AND fixed_minor >= 0),
    -- A fixed part is in minor units, which belong to one currency.
    CONSTRAINT prices_fixed_in_currency CHECK (fixed_minor = 0 OR currency <> 'any')
);
GRANT SELECT, INSERT, DELETE ON gateway.prices TO rialto_gateway;
GRANT SELECT ON gateway.prices TO rialto_auditor;

-- The price that was in force when a payment was accepted, and what came of it: `fee_minor` was booked with captures,
-- `fee_pending_minor` is what the ledger was asked to book beside, and both are of `fee_basis_minor` captured.
ALTER TABLE gateway.payments
ADD COLUMN fee_bps INT NOT NULL DEFAULT 0,
ADD COLUMN fee_fixed_minor NUMERIC(38, 0) NOT NULL DEFAULT 0,
ADD COLUMN fee_basis_minor NUMERIC(38, 0) NOT NULL DEFAULT 0,
ADD COLUMN fee_pending_minor NUMERIC(38, 0) NOT NULL DEFAULT 0,
ADD COLUMN fee_minor NUMERIC(38, 0) NOT NULL DEFAULT 0,
ADD CONSTRAINT payments_fees_within CHECK (
    fee_basis_minor >= 0 AND fee_pending_minor >= 0 AND fee_minor >= 0 AND fee_minor <= amount_captured_minor
);

-- Every fee that a merchant was charged, under the id of the capture or dispute that it is for: each is charged for once.
CREATE TABLE gateway.fees (
    fee_id UUID NOT NULL,
    payment_id UUID NOT NULL,
    merchant_id UUID NOT NULL,
    mode TEXT NOT NULL,
    currency TEXT NOT NULL,
    kind TEXT NOT NULL,
    amount_minor NUMERIC(38, 0) NOT NULL,
    bps INT NOT NULL,
    fixed_minor NUMERIC(38, 0) NOT NULL,
    charged_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT fees_pk PRIMARY KEY (fee_id),
    CONSTRAINT fees_mode CHECK (mode IN ('test', 'live')),
    CONSTRAINT fees_kind CHECK (kind IN ('processing', 'dispute')),
    CONSTRAINT fees_amount_positive CHECK (amount_minor > 0)
);
CREATE INDEX fees_by_merchant ON gateway.fees (merchant_id, mode, charged_at, fee_id);
CREATE INDEX fees_by_payment ON gateway.fees (payment_id);
INSERT INTO gateway.fees (
    fee_id, payment_id, merchant_id, mode, currency, kind, amount_minor, bps, fixed_minor, charged_at
)
SELECT dispute_id, payment_id, merchant_id, mode, currency, 'dispute', fee_minor, 0, fee_minor, created_at
FROM gateway.disputes WHERE fee_minor > 0;
GRANT SELECT, INSERT ON gateway.fees TO rialto_gateway;
GRANT SELECT ON gateway.fees TO rialto_auditor;
