"""Attempts: one question each to an acquirer, recorded before it is put, and asked about until its outcome is known."""
