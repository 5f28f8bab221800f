"""The payment API, and the one place that decides what a payment becomes."""
