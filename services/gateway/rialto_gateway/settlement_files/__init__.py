"""Acquirers' settlement files: what an acquirer pays is matched line by line with what it captured and refunded."""
