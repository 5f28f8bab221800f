-- A settlement line that came before we knew that what it names was done clears it once we do.
GRANT UPDATE (attempt_id, dispute_id) ON gateway.settlement_lines TO rialto_gateway;
