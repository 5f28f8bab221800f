"""Rialto's ledger service: double entry, holds, settlement postings."""
