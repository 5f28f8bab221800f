"""`rialto payments`: what a merchant's engineer does at a terminal, through the public API and the Python SDK."""
