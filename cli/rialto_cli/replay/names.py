"""Seeded names for people and shops, made of parts of our own, and who is short of money, listed, or has a card.

Everything is a function of the scene's seed and the customer, terminal or row, never of the other rows, so that a run
over part of a file and a later one over all of it agree about everybody.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources

from rialto_cli.errors import OperatorError

SHORT_SHARE = 0.02
"""Share of customers whose wallet holds half of what they will spend; about 1.2 % of a day's rows fail for it."""

LISTED_SHARE = 0.01
"""Share of customers with a name from the fixture sanctions list; half of them write the given name as an initial."""

CARD_SHARE = 0.3
"""Share of customers who pay by card instead of from a wallet, where nothing else is asked for."""

_CARDS = (
    ("tok_approve", 86),
    ("tok_decline_insufficient_funds", 3),
    ("tok_decline_do_not_honour", 1),
    ("tok_slow", 1),
    ("tok_late_approve", 1),
    ("tok_timeout_after", 2),
    ("tok_timeout_before", 1),
    ("tok_reset_after", 2),
    ("tok_error_before", 1),
    ("tok_capture_timeout_after", 1),
    ("tok_capture_error_after", 1),
)
"""The acquirer's test tokens, and of how many in a hundred payments by card each is; some end in no clear answer."""

_GIVEN = (
    "Ada Alma Anton Arthur Bella Bruno Carla Cecily Clara Daniel Edith Elena Emil Ernest Esther Felix Flora Frances"
    " George Greta Hannah Harriet Helen Henry Hugo Ida Irene Iris Jacob Jane Jonas Julia Karl Laura Leo Lewis Lily"
    " Louis Lucy Mabel Magnus Maria Martin Mary Matilda Miles Nina Nora Oliver Oscar Otto Paula Peter Philip Rose"
    " Rupert Ruth Samuel Sarah Simon Sofia Stella Theo Thomas Tilda Victor Viola Walter Wilma"
).split()
_FAMILY_HEADS = (
    "Alder Amber Apple Ash Barley Beech Birch Black Bram Briar Brook Cherry Clay Copper Elder Elm Fair Fern Field Green"
    " Hazel Heather Holly Larch Linden Maple Marsh Meadow Mill Moor Oak Orchard Pine Reed River Rowan Sedge Stone Thorn"
    " Willow"
).split()
_FAMILY_TAILS = (
    "acre bank bourne bridge brook croft dale den farm field ford garth gate grove ham hill holt hurst land leigh man"
    " mead more port ridge shaw side stead ton well wick wood worth"
).split()
_SHOP_KINDS = (
    "Bakery Bicycles Books Butchers Cafe Chemist Cinema Dairy Electrics Fabrics Flowers Fuels Garden Grocers Hardware"
    " Hotel Jewellers Kitchen Laundry Market Music Opticians Outfitters Paints Pets Shoes Sports Stationers Toys Travel"
).split()
_COUNTRIES = ("US", "US", "US", "US", "US", "US", "CA", "GB", "DE", "FR")


@dataclass(frozen=True, slots=True)
class Customer:
    """Who pays, from a wallet or `by_card`. `short` customers' wallets hold half of what their rows come to."""

    name: str
    country: str
    short: bool
    listed: bool
    by_card: bool


@dataclass(frozen=True, slots=True)
class Cast:
    """The people of one file: the same seed gives the same cast."""

    seed: str
    listed_names: Sequence[str]
    short_share: float = SHORT_SHARE
    listed_share: float = LISTED_SHARE
    card_share: float = 0.0

    def customer(self, customer_id: str) -> Customer:
        """Return who bears this customer id."""
        draw = _Draw(f"{self.seed}/customer/{customer_id}")
        listed = bool(self.listed_names) and draw.share() < self.listed_share
        short = draw.share() < self.short_share
        country = draw.of(_COUNTRIES)
        name = f"{draw.of(_GIVEN)} {draw.of(_FAMILY_HEADS)}{draw.of(_FAMILY_TAILS)}"
        if listed:
            name = draw.of(self.listed_names)
            # The exact name is refused; one that is nearly it goes to a person.
            given, _, family = name.partition(" ")
            name = name if draw.share() < 0.5 else f"{given[0]} {family}"
        by_card = _Draw(f"{self.seed}/method/{customer_id}").share() < self.card_share
        return Customer(name, country, short=short and not listed, listed=listed, by_card=by_card)

    def token(self, row_number: int) -> str:
        """Return the test token that a row is paid with, where it is paid by card."""
        draw = _Draw(f"{self.seed}/token/{row_number}")
        return draw.of([token for token, weight in _CARDS for _ in range(weight)])


def shop_name(seed: str, ordinal: int) -> str:
    """Return a merchant's name; the ordinal keeps two apart."""
    draw = _Draw(f"{seed}/shop/{ordinal}")
    return f"{draw.of(_FAMILY_HEADS)}{draw.of(_FAMILY_TAILS)} {_SHOP_KINDS[ordinal % len(_SHOP_KINDS)]}"


def fixture_people() -> list[str]:
    """Return the primary names of the persons on the fixture sanctions list that ships with the compliance service.

    Raises: OperatorError: the compliance service is not installed beside the command.
    """
    try:
        text = resources.files("rialto_compliance").joinpath("lists/fixture.csv").read_text(encoding="utf-8")
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise OperatorError(
            "The fixture sanctions list is missing", str(error), "install the workspace again with `make install`"
        ) from error
    return [row["name"] for row in csv.DictReader(text.splitlines()) if row["kind"] == "Person"]


class _Draw:
    """Draws from a text: SHA-256 in counter mode, the same on every machine and Python."""

    def __init__(self, text: str) -> None:
        self._text, self._count = text, 0

    def share(self) -> float:
        """A number in [0, 1)."""
        self._count += 1
        digest = sha256(f"{self._text}/{self._count}".encode()).digest()
        return int.from_bytes(digest[:6], "big") / 2**48

    def of(self, choices: Sequence[str]) -> str:
        return choices[int(self.share() * len(choices))]
