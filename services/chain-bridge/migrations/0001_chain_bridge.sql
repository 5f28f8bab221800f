-- The chain-bridge: what is to be paid on chain (intents), the signed transactions that pay it, and the contracts.
-- A transaction's bytes are recorded before they are sent and never signed anew: one nonce, one transaction, for ever.
CREATE SCHEMA chain_bridge;
GRANT USAGE ON SCHEMA chain_bridge TO rialto_chain_bridge, rialto_auditor;

-- The contracts in use on a chain.
CREATE TABLE chain_bridge.deployments (
    chain_id BIGINT NOT NULL,
    operator_address TEXT NOT NULL,
    token TEXT NOT NULL,
    token_decimals SMALLINT NOT NULL,
    token_address TEXT NOT NULL,
    settlement_address TEXT NOT NULL,
    mode TEXT NOT NULL,
    treasury_amount NUMERIC(78, 0),
    deposit_id UUID,
    created_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT deployments_pk PRIMARY KEY (chain_id),
    CONSTRAINT deployments_mode_known CHECK (mode IN ('test', 'live')),
    CONSTRAINT deployments_mint_has_deposit CHECK ((treasury_amount IS NULL) = (deposit_id IS NULL))
);

-- The accounts that sign, each with the nonce of its next transaction. The row's lock puts all workers in one line.
CREATE TABLE chain_bridge.senders (
    chain_id BIGINT NOT NULL,
    address TEXT NOT NULL,
    next_nonce BIGINT NOT NULL,
    CONSTRAINT senders_pk PRIMARY KEY (chain_id, address),
    CONSTRAINT senders_nonce_not_negative CHECK (next_nonce >= 0)
) WITH (fillfactor = 50);

-- Signed transactions. `attempt` is the last sending's outcome; `state` is where the chain has it.
--   pending   recorded, perhaps sent, in no block that we know of: sent again at next_attempt_at, byte for byte
--   mined     in a block that is not deep enough yet
--   confirmed deep enough, and it succeeded            reverted  deep enough, and it had no effect: its payments are
--   replaced  another transaction used up its nonce, deep enough            queued anew, or failed, one by one
CREATE TABLE chain_bridge.transactions (
    id UUID NOT NULL,
    chain_id BIGINT NOT NULL,
    sender TEXT NOT NULL,
    nonce BIGINT NOT NULL,
    kind TEXT NOT NULL,
    tx_hash TEXT NOT NULL,
    raw BYTEA NOT NULL,
    payment_ids UUID [] NOT NULL,
    attempt TEXT NOT NULL DEFAULT 'started',
    attempts INT NOT NULL DEFAULT 0,
    attempt_error TEXT,
    next_attempt_at TIMESTAMPTZ,
    state TEXT NOT NULL DEFAULT 'pending',
    succeeded BOOLEAN,
    block_number BIGINT,
    block_hash TEXT,
    gas_used BIGINT,
    reorgs INT NOT NULL DEFAULT 0,
    deadline_at TIMESTAMPTZ NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL,
    submitted_at TIMESTAMPTZ,
    confirmed_at TIMESTAMPTZ,
    CONSTRAINT transactions_pk PRIMARY KEY (id),
    CONSTRAINT transactions_nonce_used_once UNIQUE (chain_id, sender, nonce),
    CONSTRAINT transactions_hash_unique UNIQUE (chain_id, tx_hash),
    CONSTRAINT transactions_kind_known CHECK (kind IN ('deploy_token', 'deploy_settlement', 'mint', 'settle')),
    CONSTRAINT transactions_attempt_known CHECK (attempt IN ('started', 'succeeded', 'failed', 'unknown')),
    CONSTRAINT transactions_state_known
    CHECK (state IN ('pending', 'mined', 'confirmed', 'reverted', 'replaced')),
    CONSTRAINT transactions_block_known
    CHECK ((state IN ('mined', 'confirmed', 'reverted')) = (block_hash IS NOT NULL AND block_number IS NOT NULL)),
    CONSTRAINT transactions_pending_has_next_attempt CHECK (state <> 'pending' OR next_attempt_at IS NOT NULL)
) WITH (fillfactor = 70);

-- Few rows at any time: what is under way.
CREATE INDEX transactions_under_way ON chain_bridge.transactions (chain_id, sender, nonce)
WHERE state IN ('pending', 'mined');

-- One row a payment: what is to be paid to whom. Its state follows from its transaction's (see the view below).
CREATE TABLE chain_bridge.intents (
    payment_id UUID NOT NULL,
    settlement_id UUID NOT NULL,
    merchant_id UUID NOT NULL,
    mode TEXT NOT NULL,
    shard SMALLINT NOT NULL,
    chain_id BIGINT NOT NULL,
    amount_minor NUMERIC(38, 0) NOT NULL,
    currency TEXT NOT NULL,
    payee_address TEXT NOT NULL,
    token_amount NUMERIC(78, 0),
    transaction_id UUID,
    submissions INT NOT NULL DEFAULT 0,
    next_attempt_at TIMESTAMPTZ NOT NULL,
    deadline_at TIMESTAMPTZ NOT NULL,
    failure_code TEXT,
    failure_detail TEXT,
    cause_id UUID NOT NULL,
    traceparent TEXT,
    requested_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT intents_pk PRIMARY KEY (payment_id),
    CONSTRAINT intents_settlement_unique UNIQUE (settlement_id),
    CONSTRAINT intents_transaction_known FOREIGN KEY (transaction_id) REFERENCES chain_bridge.transactions,
    CONSTRAINT intents_mode_known CHECK (mode IN ('test', 'live')),
    CONSTRAINT intents_amount_positive CHECK (amount_minor > 0),
    CONSTRAINT intents_payable_or_failed CHECK (token_amount > 0 OR failure_code IS NOT NULL),
    CONSTRAINT intents_failed_has_no_transaction CHECK (failure_code IS NULL OR transaction_id IS NULL)
);

-- What waits for a batch, the longest waiting first.
CREATE INDEX intents_waiting ON chain_bridge.intents (chain_id, next_attempt_at, payment_id)
WHERE transaction_id IS NULL AND failure_code IS NULL;

-- A settlement as others should read it: requested -> submitted -> confirmed | failed.
CREATE VIEW chain_bridge.settlements AS
SELECT
    i.payment_id, i.settlement_id, i.merchant_id, i.mode, i.amount_minor, i.currency, i.payee_address, i.token_amount,
    CASE
        WHEN i.failure_code IS NOT NULL THEN 'failed'
        WHEN t.state = 'confirmed' THEN 'confirmed'
        WHEN t.id IS NOT NULL THEN 'submitted'
        ELSE 'requested'
    END AS state,
    i.failure_code, i.failure_detail, i.chain_id, t.id AS batch_id, t.tx_hash, t.block_number, t.block_hash,
    coalesce(t.reorgs, 0) AS reorgs, i.submissions, i.requested_at, t.submitted_at, t.confirmed_at,
    coalesce(t.next_attempt_at, i.next_attempt_at) AS next_attempt_at, coalesce(t.deadline_at, i.deadline_at) AS deadline_at
FROM chain_bridge.intents AS i
LEFT JOIN chain_bridge.transactions AS t ON t.id = i.transaction_id;

-- The newest block known to hold a confirmed transaction of ours: all below it is settled.
CREATE VIEW chain_bridge.confirmed_heads AS
SELECT DISTINCT ON (t.chain_id) t.chain_id, t.block_number, t.block_hash, t.nonce, t.confirmed_at
FROM chain_bridge.transactions AS t
WHERE t.state = 'confirmed'
ORDER BY t.chain_id, t.sender, t.nonce DESC;

SELECT bus.create_consumer_tables('chain_bridge', 'rialto_chain_bridge');

-- What was signed and what was asked for never change; only their progress does. Nothing is deleted.
GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA chain_bridge TO rialto_chain_bridge;
GRANT UPDATE (next_nonce) ON chain_bridge.senders TO rialto_chain_bridge;
GRANT UPDATE (
    attempt, attempts, attempt_error, next_attempt_at, state, succeeded, block_number, block_hash, gas_used, reorgs,
    submitted_at, confirmed_at
) ON chain_bridge.transactions TO rialto_chain_bridge;
GRANT UPDATE (transaction_id, submissions, next_attempt_at, failure_code, failure_detail)
ON chain_bridge.intents TO rialto_chain_bridge;
GRANT SELECT ON ALL TABLES IN SCHEMA chain_bridge TO rialto_auditor;
