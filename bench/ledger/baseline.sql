-- The ledger to compare with: one transfer a transaction, in PL/pgSQL, with what any ledger must do and nothing more:
-- both accounts locked in order, funds checked, two balances, the transfer and its two entries, indexed.
CREATE SCHEMA baseline;

CREATE TABLE baseline.accounts (
    id BIGINT PRIMARY KEY,
    balance NUMERIC(38, 0) NOT NULL DEFAULT 0,
    version BIGINT NOT NULL DEFAULT 0
) WITH (fillfactor = 70);

CREATE TABLE baseline.transfers (
    id UUID PRIMARY KEY,
    from_account BIGINT NOT NULL REFERENCES baseline.accounts (id),
    to_account BIGINT NOT NULL REFERENCES baseline.accounts (id),
    amount NUMERIC(38, 0) NOT NULL CHECK (amount > 0),
    created_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE baseline.entries (
    transfer_id UUID NOT NULL REFERENCES baseline.transfers (id),
    account_id BIGINT NOT NULL REFERENCES baseline.accounts (id),
    amount NUMERIC(38, 0) NOT NULL,
    balance NUMERIC(38, 0) NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (account_id, version)
);

CREATE FUNCTION baseline.transfer(p_id UUID, p_from BIGINT, p_to BIGINT, p_amount NUMERIC) RETURNS VOID
LANGUAGE plpgsql AS $$
DECLARE
    v_from baseline.accounts;
    v_to baseline.accounts;
BEGIN
    IF p_from < p_to THEN
        SELECT * INTO v_from FROM baseline.accounts WHERE id = p_from FOR UPDATE;
        SELECT * INTO v_to FROM baseline.accounts WHERE id = p_to FOR UPDATE;
    ELSE
        SELECT * INTO v_to FROM baseline.accounts WHERE id = p_to FOR UPDATE;
        SELECT * INTO v_from FROM baseline.accounts WHERE id = p_from FOR UPDATE;
    END IF;
    IF v_from.id IS NULL OR v_to.id IS NULL OR v_from.balance < p_amount THEN
        RAISE EXCEPTION 'no such account, or not enough on it';
    END IF;
    INSERT INTO baseline.transfers (id, from_account, to_account, amount) VALUES (p_id, p_from, p_to, p_amount);
    UPDATE baseline.accounts SET balance = balance - p_amount, version = version + 1 WHERE id = p_from;
    UPDATE baseline.accounts SET balance = balance + p_amount, version = version + 1 WHERE id = p_to;
    INSERT INTO baseline.entries VALUES
        (p_id, p_from, -p_amount, v_from.balance - p_amount, v_from.version + 1),
        (p_id, p_to, p_amount, v_to.balance + p_amount, v_to.version + 1);
END $$;

-- Its own way to do a hundred at once: one call, one commit. Accounts in order first, so that calls do not deadlock.
CREATE FUNCTION baseline.transfer_many(p_from BIGINT[], p_to BIGINT[], p_amount NUMERIC) RETURNS VOID
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM baseline.accounts WHERE id = ANY (p_from || p_to) ORDER BY id FOR UPDATE;
    FOR i IN 1 .. cardinality(p_from) LOOP
        PERFORM baseline.transfer(gen_random_uuid(), p_from[i], p_to[i], p_amount);
    END LOOP;
END $$;
