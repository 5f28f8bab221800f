-- name: find_transfers
-- One side's view of transfers, kept from being changed by others; always in the order of ids.
SELECT
    id, side, merchant_id, mode, from_account_id, from_shard, to_account_id, to_shard, amount_minor, currency, state,
    refusal_code, asked_at, ended_at
FROM ledger.transfers WHERE side = $1 AND id = ANY ($2::UUID[]) ORDER BY id FOR UPDATE

-- name: transfer
-- A transfer, first as its sender knows it.
SELECT
    id, side, merchant_id, mode, from_account_id, from_shard, to_account_id, to_shard, amount_minor, currency, state,
    refusal_code, asked_at, ended_at
FROM ledger.transfers WHERE id = $1 ORDER BY side DESC LIMIT 1

-- name: add_transfers
INSERT INTO ledger.transfers (
    id, side, merchant_id, mode, from_account_id, from_shard, to_account_id, to_shard, amount_minor, currency, state,
    refusal_code, asked_at, ended_at
)
SELECT
    t.id, t.side, t.merchant_id, t.mode, t.from_account_id, t.from_shard, t.to_account_id, t.to_shard,
    t.amount_minor::NUMERIC, t.currency, t.state, t.refusal_code, t.asked_at, t.ended_at
FROM unnest(
    $1::UUID[], $2::TEXT[], $3::UUID[], $4::TEXT[], $5::UUID[], $6::SMALLINT[], $7::UUID[], $8::SMALLINT[],
    $9::TEXT[], $10::TEXT[], $11::TEXT[], $12::TEXT[], $13::TIMESTAMPTZ[], $14::TIMESTAMPTZ[]
) AS t (
    id, side, merchant_id, mode, from_account_id, from_shard, to_account_id, to_shard, amount_minor, currency, state,
    refusal_code, asked_at, ended_at
)
ORDER BY t.id

-- name: end_transfers
-- Only what is still sent: an end is for good.
UPDATE ledger.transfers AS t SET state = e.state, refusal_code = e.refusal_code, ended_at = e.ended_at
FROM unnest($1::UUID[], $2::TEXT[], $3::TEXT[], $4::TIMESTAMPTZ[]) AS e (id, state, refusal_code, ended_at)
WHERE t.id = e.id AND t.side = 'sender' AND t.state = 'sent'

-- name: under_way
-- What is in transit; by the index that has nothing else in it.
SELECT count(*) AS count, min(asked_at) AS oldest_at FROM ledger.transfers WHERE state = 'sent'
