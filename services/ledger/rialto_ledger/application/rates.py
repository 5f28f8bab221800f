"""Where rates come from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rialto_common.errors import ServiceUnavailable
from rialto_ledger.domain.fx import EuroRate


class RatesUnavailable(ServiceUnavailable):
    """The provider does not answer, or with something that is not rates; what is on record stays."""

    code = "fx_rates_unavailable"


@dataclass(frozen=True, slots=True)
class RateSheet:
    """What a provider publishes at a time; `version` is its mark of this content (an ETag), None where it has none."""

    rates: Sequence[EuroRate]
    version: str | None


class RateSource(Protocol):
    """A provider of rates."""

    async def fetch(self, known: str | None) -> RateSheet | None:
        """Return what is published now; None when that is the version already known.

        Raises: RatesUnavailable.
        """
        ...
