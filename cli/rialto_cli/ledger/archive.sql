-- name: try_to_archive
-- Whether nobody else is archiving, until this session ends.
SELECT pg_try_advisory_lock(hashtextextended('ledger.archive', 0))

-- name: objections
-- Why a month has to stay.
SELECT ledger.objections_to_archiving(%s, %s)

-- name: give_up_soon
-- Do not hold up everybody else while waiting for a table.
SET LOCAL lock_timeout = '500ms'

-- name: archive_month
-- Let it go.
SELECT ledger.archive_month(%s, %s, %s, %s, %s)
