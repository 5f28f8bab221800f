"""The ledger's own variables: prefix RIALTO_LEDGER_, beside the shared ones."""

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from rialto_common.settings import ServiceSettings
from rialto_ledger.domain.shards import ALL, Shards, parse


class LedgerSettings(ServiceSettings):
    """Frozen; built once, in `main.py`."""

    model_config = SettingsConfigDict(env_prefix="RIALTO_LEDGER_", frozen=True, extra="ignore", populate_by_name=True)

    name: str = Field(default="ledger", pattern="^[a-z][a-z0-9_]{0,30}$")
    """What this ledger is called where an installation has several, each on a database of its own."""

    shards: str = ALL
    """`all`, or which ledger keeps which shards: `east=0-31;west=32-63`, the same for every one of them."""

    account_identifier_prefix: str | None = None
    """`COUNTRY:BANKCODE`: gives each wallet a number of this institution, in the form of an IBAN."""

    fx_rates: str = Field(default="sample", min_length=1)
    """`ecb`, `sample` (made up, test mode only), or the path of a file in the ECB's format."""

    fx_spread_bps: int = Field(default=50, ge=0, le=9_999)
    fx_quote_seconds: float = Field(default=60, gt=0, le=86_400)
    fx_stale_hours: float = Field(default=126, gt=0)
    """The ECB publishes on TARGET days, which are at most five days apart, about two hours after it looks at the
    market; an hour for the clock change and three for a late publication.
    """

    @model_validator(mode="after")
    def _shards_are_a_map(self) -> "LedgerSettings":
        if not self.shard_map().are_all and self.kafka() is None:
            raise ValueError("several ledgers meet on Kafka: RIALTO_BUS_URL names none")
        return self

    @property
    def instance_name(self) -> str:
        """Groups, relays and connections go by the ledger's name."""
        return self.name

    def shard_map(self) -> Shards:
        """Return which shards are whose. Raises: ValueError."""
        return parse(self.shards, self.name)
