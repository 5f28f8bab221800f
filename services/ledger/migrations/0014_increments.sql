-- Holds that are raised: `amount_minor` is what they come to, of which `increased_minor` was not in them when they were placed.
ALTER TABLE ledger.holds
ADD COLUMN increased_minor NUMERIC(38, 0) NOT NULL DEFAULT 0,
ADD CONSTRAINT holds_increased_within CHECK (increased_minor >= 0 AND increased_minor <= amount_minor);
GRANT UPDATE (amount_minor, increased_minor) ON ledger.holds TO rialto_ledger;
