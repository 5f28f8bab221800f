"""`rialto dlq`: look at the events that services have set aside, and have them handled again."""
