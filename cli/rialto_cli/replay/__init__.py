"""`rialto replay` and `rialto demo`: rows of a transaction file become payments through the public API."""
