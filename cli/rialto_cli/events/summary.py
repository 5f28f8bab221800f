"""What an event's payload says, in a few words; works for types this version does not know, too."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from rialto_common.errors import UnknownCurrency
from rialto_common.money import currency_exponent

LONGEST = 80
"""Characters of one text; the whole is in `--json`."""

# Said by the key, by the field they belong to, or of no interest to a person who reads along.
_SILENT = frozenset({"currency", "token", "chain_id", "block_hash", "occurred_at", "ordinal"})
# Words that speak for themselves.
_PLAIN = frozenset(
    {
        "outcome",
        "code",
        "decline_code",
        "reason",
        "reasons",
        "decision",
        "kind",
        "step",
        "detail",
        "capture_method",
        "mode",
    }
)
_NAMES = {"tx_hash": "tx", "block_number": "block", "payee_address": "to", "expires_at": "expires"}


def summary(data: Any) -> str:
    """Return the payload's important fields on one line, without control characters."""
    if not isinstance(data, Mapping):
        return printable(str(data))
    # Whether it is only a test comes last: it is the same in every line.
    fields = sorted(data.items(), key=lambda field: field[0] == "mode")
    return " ".join(text for name, value in fields for text in _words(str(name), value, data))


def _words(name: str, value: Any, data: Mapping[str, Any]) -> Iterator[str]:
    if value is None or name in _SILENT or name.endswith(("_id", "_version")):
        return
    if name.endswith("_minor"):
        text = money(value, data.get("currency"))
        # `amount_released_minor` is released, `amount_minor` needs no name.
        label = name.removesuffix("_minor").removeprefix("amount").strip("_")
    elif name == "token_amount":
        text, label = money(value, data.get("token")), ""
    elif isinstance(value, bool):
        text, label = (_NAMES.get(name, name) if value else ""), ""
    elif isinstance(value, Mapping):
        # A sealed person says nothing; a payment method its type.
        text, label = str(value.get("type", "")), ""
    elif isinstance(value, list):
        text, label = _items(value), "" if name in _PLAIN else name
    else:
        text, label = _text(value), "" if name in _PLAIN else _NAMES.get(name, name)
    if text:
        yield printable(f"{label}={text}" if label else text)


def money(minor: Any, currency: Any) -> str:
    """Return `12.50 USD` for 1250 and USD; without a known currency, the number as it is."""
    with suppress(UnknownCurrency, ValueError, TypeError):
        decimals = currency_exponent(str(currency))
        digits = f"{int(minor):0{decimals + 1}d}"
        whole, part = digits[: len(digits) - decimals], digits[len(digits) - decimals :]
        # Tokens have many decimals; cents are always written.
        part = part.rstrip("0").ljust(min(2, decimals), "0")
        return f"{whole}.{part} {currency}" if part else f"{whole} {currency}"
    return f"{minor} {currency}" if currency is not None else str(minor)


def _items(items: list[Any]) -> str:
    if not all(isinstance(item, Mapping) for item in items):
        return ",".join(map(str, items))
    # What is clear is not worth a word.
    told = [item for item in items if item.get("outcome") != "clear"]
    words = [word for item in told if (word := _item(item))]
    return ",".join(words) if words or not told else str(len(told))


def _item(item: Mapping[str, Any]) -> str:
    """A reason by its code, a hit by the listed entity, a rule by its id."""
    named = next((str(item[name]) for name in ("code", "entity_id", "id") if name in item), "")
    more = item.get("outcome", item.get("score"))
    return f"{named}:{_text(more)}" if named and more is not None else named


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value)
    if text.startswith("0x") and len(text) > 20:
        return f"{text[:8]}…{text[-4:]}"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def printable(text: str) -> str:
    """Return the text without what could move a terminal's cursor or forge a line."""
    return (
        text
        if text.isprintable()
        else "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    )
