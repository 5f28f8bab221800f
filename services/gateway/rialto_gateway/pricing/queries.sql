-- name: prices
-- A merchant's prices.
SELECT method, currency, bps, fixed_minor, set_at FROM gateway.prices
WHERE merchant_id = $1 AND mode = $2 ORDER BY method, currency

-- name: lock
-- One change of prices at a time; whoever reads them goes on.
LOCK TABLE gateway.prices IN SHARE ROW EXCLUSIVE MODE

-- name: forget_prices
-- A merchant's prices are no more; others follow.
DELETE FROM gateway.prices WHERE merchant_id = $1 AND mode = $2

-- name: set_prices
-- A merchant's prices.
INSERT INTO gateway.prices (merchant_id, mode, method, currency, bps, fixed_minor, set_at)
SELECT $1, $2, p.method, p.currency, p.bps, p.fixed_minor, $3
FROM unnest($4::TEXT[], $5::TEXT[], $6::INT[], $7::NUMERIC[]) AS p (method, currency, bps, fixed_minor)

-- name: charge
-- Fees, as they are charged.
INSERT INTO gateway.fees (
    fee_id, payment_id, merchant_id, mode, currency, kind, amount_minor, bps, fixed_minor, charged_at
)
SELECT f.fee_id, f.payment_id, f.merchant_id, f.mode, f.currency, f.kind, f.amount_minor, f.bps, f.fixed_minor, $1
FROM unnest(
    $2::UUID[], $3::UUID[], $4::UUID[], $5::TEXT[], $6::TEXT[], $7::TEXT[], $8::NUMERIC[], $9::INT[], $10::NUMERIC[]
) AS f (fee_id, payment_id, merchant_id, mode, currency, kind, amount_minor, bps, fixed_minor)

-- name: of_payment
-- A payment's fees, oldest first.
SELECT * FROM gateway.fees WHERE payment_id = $1 ORDER BY charged_at, fee_id

-- name: page
-- A merchant's fees since an instant, the newest first, from a place on.
SELECT * FROM gateway.fees
WHERE merchant_id = $1 AND mode = $2 AND charged_at >= $3 AND (charged_at, fee_id) < ($4, $5)
ORDER BY charged_at DESC, fee_id DESC LIMIT $6

-- name: totals
-- What a merchant's fees of a period come to.
SELECT currency, kind, count(*) AS fees, sum(amount_minor) AS amount_minor FROM gateway.fees
WHERE merchant_id = $1 AND mode = $2 AND charged_at >= $3 AND charged_at < $4
GROUP BY currency, kind ORDER BY currency, kind
