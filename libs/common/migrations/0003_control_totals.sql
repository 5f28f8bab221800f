-- What a service has told of each merchant's closed days; rialto_common.control reads and writes it.
CREATE FUNCTION bus.create_control_totals(p_schema TEXT, p_role TEXT) RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format($ddl$
        CREATE TABLE %1$I.control_totals (
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
        CREATE INDEX control_totals_by_day ON %1$I.control_totals (day);
        GRANT SELECT, INSERT, UPDATE (revision, sequence, totals, told_at) ON %1$I.control_totals TO %2$I;
        GRANT SELECT ON %1$I.control_totals TO rialto_auditor;
    $ddl$, p_schema, p_role);
END $$;
