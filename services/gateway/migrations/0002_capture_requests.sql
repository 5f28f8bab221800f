-- What a capture's idempotency key stood for, so that the same key with another body can be told from a retry.
ALTER TABLE gateway.captures ADD COLUMN request_hash BYTEA;
