"""The state machine by chapters: each has the facts of one part of a payment's life. Pure."""
