"""Acquirers: what the gateway asks of them, and one module for each that it can speak to."""
