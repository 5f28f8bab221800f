-- name: add
-- A new wallet.
INSERT INTO gateway.wallets (wallet_id, merchant_id, mode, currency, metadata, created_at)
VALUES ($1, $2, $3, $4, $5, $6)

-- name: get
-- One wallet.
SELECT wallet_id, merchant_id, mode, currency, metadata, created_at FROM gateway.wallets WHERE wallet_id = $1
