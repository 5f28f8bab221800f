-- What the gateway has told of each merchant's closed days; rialto_common.control reads and writes it.
CREATE TABLE gateway.control_totals (
    merchant_id UUID NOT NULL,
    mode TEXT NOT NULL,
    currency TEXT NOT NULL,
    day DATE NOT NULL,
    revision INT NOT NULL,
    sequence BIGINT NOT NULL,
    totals JSONB NOT NULL,
    told_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT control_totals_pk PRIMARY KEY (merchant_id, mode, currency, day),
    CONSTRAINT control_totals_mode_known CHECK (mode IN ('test', 'live')),
    CONSTRAINT control_totals_counted_from_one CHECK (revision >= 1 AND sequence >= 1)
);
CREATE INDEX control_totals_by_day ON gateway.control_totals (day);
GRANT SELECT, INSERT, UPDATE (revision, sequence, totals, told_at) ON gateway.control_totals TO rialto_gateway;
GRANT SELECT ON gateway.control_totals TO rialto_auditor;

-- The captures of a day. They are written in the order of their time, so that ranges of pages are ranges of time: a few
-- kilobytes in all, and a capture's later changes still touch no index.
CREATE INDEX captures_by_time ON gateway.captures USING brin (created_at) WITH (autosummarize = on);
