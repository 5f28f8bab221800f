-- name: pending
-- What of a merchant's money is captured and cannot be paid out now: still being captured, or being paid.
SELECT currency, sum(amount_minor) AS amount_minor
FROM gateway.payables WHERE merchant_id = $1 AND mode = $2 AND NOT waiting GROUP BY currency
