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
