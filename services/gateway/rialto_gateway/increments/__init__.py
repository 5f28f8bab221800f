"""Increments: more is authorised under a payment that was; each is an object of its own."""
