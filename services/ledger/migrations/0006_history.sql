-- Reading the journal as it was.

-- By how much an effective_at may lie after its recorded_at (the sender's clock was ahead of ours). Such entries are few
-- and only they are in it, so that other entries cost no more to write.
CREATE INDEX journal_entries_ahead ON ledger.journal_entries ((effective_at - recorded_at))
WHERE effective_at > recorded_at;

-- What was recorded since an instant, over all accounts. Postings lie nearly in that order, so the first and last time of
-- each range of pages is enough, and costs next to nothing to keep.
CREATE INDEX postings_recorded ON ledger.postings USING brin (recorded_at);
