"""The merchant's events: what the webhooks tell, as a list to look things up in."""
