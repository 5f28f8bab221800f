"""Rialto's fraud service: scores each payment, says why, and keeps what it needs to say it again."""
