"""The ledger's own variables: prefix RIALTO_LEDGER_, beside the shared ones."""

from pydantic_settings import SettingsConfigDict

from rialto_common.settings import ServiceSettings


class LedgerSettings(ServiceSettings):
    """Frozen; built once, in `main.py`."""

    model_config = SettingsConfigDict(env_prefix="RIALTO_LEDGER_", frozen=True, extra="ignore", populate_by_name=True)

    account_identifier_prefix: str | None = None
    """`COUNTRY:BANKCODE`: gives each wallet a number of this institution, in the form of an IBAN."""
