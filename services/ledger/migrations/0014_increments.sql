-- Holds that are raised: `amount_minor` is what they come to, of which `increased_minor` was not in them when they were placed.
ALTER TABLE ledger.holds
ADD COLUMN increased_minor NUMERIC(38, 0) NOT NULL DEFAULT 0,
ADD CONSTRAINT holds_increased_within CHECK (increased_minor >= 0 AND increased_minor <= amount_minor);
GRANT UPDATE (amount_minor, increased_minor) ON ledger.holds TO rialto_ledger;

-- A hold is raised by what is recorded as its increase, and never lowered or written anew: else the right to raise holds
-- would be one to rewrite them. The condition alone is looked at for each row; the function runs where it is broken.
CREATE FUNCTION ledger.refuse_rewritten_hold() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a hold''s amount changes by what it is raised by, and not back'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'holds_only_raised';
END;
$$;
CREATE TRIGGER holds_only_raised BEFORE UPDATE ON ledger.holds FOR EACH ROW
WHEN (
    new.increased_minor < old.increased_minor
    OR new.amount_minor - old.amount_minor <> new.increased_minor - old.increased_minor
)
EXECUTE FUNCTION ledger.refuse_rewritten_hold();
