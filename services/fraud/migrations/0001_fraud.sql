-- What the fraud service remembers (histories) and what it said (assessments). No personal data: wallets, terminals, numbers.
CREATE SCHEMA fraud;
GRANT USAGE ON SCHEMA fraud TO rialto_fraud, rialto_auditor;

-- One row a wallet (`wal_…`) or terminal (`mer_…/` and the merchant's own name for it). `history` is the packed form of
-- rialto_fraud.domain.history.History: a few tens of bytes for most, about 1 kB at most. Empty: nothing observed yet.
CREATE TABLE fraud.histories (
    mode TEXT NOT NULL,
    subject TEXT NOT NULL,
    history BYTEA NOT NULL,
    CONSTRAINT histories_pk PRIMARY KEY (mode, subject),
    CONSTRAINT histories_mode_known CHECK (mode IN ('test', 'live')),
    CONSTRAINT histories_subject_short CHECK (length(subject) BETWEEN 1 AND 120)
) WITH (fillfactor = 70);
-- Packed already: compressing it again on each update costs more than it saves.
ALTER TABLE fraud.histories ALTER COLUMN history SET STORAGE EXTERNAL;

-- Every decision with its inputs: `features` are the very float32 values that the model saw, in the order of its manifest.
CREATE TABLE fraud.assessments (
    payment_id UUID NOT NULL,
    merchant_id UUID NOT NULL,
    mode TEXT NOT NULL,
    shard SMALLINT NOT NULL,
    score REAL NOT NULL,
    outcome TEXT NOT NULL,
    reasons JSON NOT NULL,
    features REAL[] NOT NULL,
    feature_version TEXT NOT NULL,
    model_version TEXT NOT NULL,
    policy_version TEXT NOT NULL,
    occurred_at TIMESTAMPTZ NOT NULL,
    assessed_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT assessments_pk PRIMARY KEY (payment_id),
    CONSTRAINT assessments_mode_known CHECK (mode IN ('test', 'live')),
    CONSTRAINT assessments_shard_in_range CHECK (shard BETWEEN 0 AND 63),
    CONSTRAINT assessments_score_is_probability CHECK (score BETWEEN 0 AND 1),
    CONSTRAINT assessments_outcome_known CHECK (outcome IN ('allow', 'review', 'block'))
);

CREATE VIEW fraud.verdicts AS
SELECT
    payment_id, merchant_id, mode, shard, score, outcome, reasons, features, feature_version, model_version,
    policy_version, occurred_at, assessed_at
FROM fraud.assessments;

SELECT bus.create_consumer_tables('fraud', 'rialto_fraud');

-- A verdict is never changed or taken back: no UPDATE, no DELETE.
GRANT SELECT, INSERT ON fraud.assessments TO rialto_fraud;
GRANT SELECT, INSERT, UPDATE (history) ON fraud.histories TO rialto_fraud;
GRANT SELECT ON fraud.verdicts TO rialto_fraud;
GRANT SELECT ON fraud.histories, fraud.assessments, fraud.verdicts TO rialto_auditor;
