"""What `expand[]` shows beside payments' ids."""
