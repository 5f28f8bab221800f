"""Cards kept for customers, and mandates to charge them when the customer is not there."""
