"""Webhooks: Standard Webhooks messages about payments, recorded before they are sent and retried until taken."""
