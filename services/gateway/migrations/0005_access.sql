-- Idempotent answers: who works on one and until when, and an end to their keeping.
ALTER TABLE gateway.idempotent_answers ADD COLUMN leased_until TIMESTAMPTZ;
CREATE INDEX idempotent_answers_by_age ON gateway.idempotent_answers (created_at);
GRANT DELETE ON gateway.idempotent_answers TO rialto_gateway;
