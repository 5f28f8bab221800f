"""The `rialto` command: the all-in-one embedded run and the operator's tools."""
