"""Acquirers in one order of preference: each payment goes to the first that was not tried for it."""

from collections.abc import Collection, Sequence

from rialto_gateway.attempts.ports import RouteAsked
from rialto_gateway.connectors.port import Answer, Connector


class InOrder:
    """The same order for every payment of the modes that they are for; without acquirers, no card is taken."""

    def __init__(self, connectors: Sequence[Connector] = (), modes: Collection[str] = ("test", "live")) -> None:
        self._by_name = {connector.name: connector for connector in connectors}
        self._modes = frozenset(modes)

    def takes_cards(self, mode: str) -> bool:
        """Whether a card can be charged at all in a mode."""
        return mode in self._modes and bool(self._by_name)

    def names(self) -> Sequence[str]:
        """Return the names of all acquirers."""
        return list(self._by_name)

    def named(self, name: str) -> Connector | None:
        """Return an acquirer by its name."""
        return self._by_name.get(name)

    def choose(self, asked: RouteAsked) -> Connector | None:
        """Return the first acquirer that was not tried."""
        if asked.mode not in self._modes or asked.decline is not None:
            return None
        return next((each for name, each in self._by_name.items() if name not in asked.tried), None)

    def sent(self, name: str) -> None:
        """Nothing: the order never changes."""

    def heard(self, name: str, answer: Answer) -> None:
        """Nothing: the order never changes."""
