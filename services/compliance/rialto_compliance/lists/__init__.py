"""Sanctions lists that ship with the package."""
