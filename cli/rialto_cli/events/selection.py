"""What a person asks for: event types, topics, ids, spans of time. Wrong words are answered with the right ones."""

import difflib
import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from fnmatch import fnmatchcase
from uuid import UUID

from rialto_cli.errors import OperatorError
from rialto_cli.events.port import Want
from rialto_common import ids
from rialto_common.bus.port import DEAD_LETTER_SUFFIX
from rialto_common.errors import InvalidId
from rialto_common.events import MODELS, EventData
from rialto_common.events.common import TOPICS

EVERY_TOPIC = (*TOPICS, *(topic + DEAD_LETTER_SUFFIX for topic in TOPICS))

_KINDS = {
    "pay": "a payment",
    "mer": "a merchant",
    "wal": "a wallet",
    "cap": "a capture",
    "hold": "a hold",
    "je": "a journal entry",
    "set": "a settlement",
    "bat": "a batch",
    "dep": "a deposit",
    "acc": "an account",
    "pty": "a party",
    "key": "a key",
}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST = timedelta(days=3650)


def short(event_type: str) -> str:
    """Return `payment.created` for `rialto.payment.created.v1`; other versions and types stay as they are."""
    return event_type.removeprefix("rialto.").removesuffix(".v1") if event_type.startswith("rialto.") else event_type


def model_of(text: str) -> type[EventData]:
    """Return the event model that a person names.

    Raises: OperatorError: there is none, or more than one.
    """
    found = _types(text)
    if len(found) > 1:
        raise OperatorError(
            f"{text} is more than one event type", "it fits " + ", ".join(map(short, sorted(found))), "name one of them"
        )
    [only] = found
    return next(model for model in MODELS if model.type == only)


def types_of(texts: Iterable[str]) -> frozenset[str] | None:
    """Return the event types that a person names, in short or in full or with `*`; None when none is named.

    Raises: OperatorError: one of them is none.
    """
    found = [_types(text) for text in texts]
    return frozenset().union(*found) if found else None


def _types(text: str) -> frozenset[str]:
    known = [model.type for model in MODELS]
    pattern = text.strip().lower()
    found = frozenset(each for each in known if fnmatchcase(each, pattern) or fnmatchcase(short(each), pattern))
    if not found:
        raise OperatorError(
            f"There is no event type {text}",
            _perhaps(pattern, [*map(short, known), *known]),
            "`rialto events types` lists them; `*` stands for anything, as in 'payment.*'",
        )
    return found


def topics_of(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the topics that a person names, such as `payments`, `payments.dlq` or in full; every one when none is.

    Raises: OperatorError: one of them is none.
    """
    names = {plain_topic(topic): topic for topic in EVERY_TOPIC}
    found = []
    for text in texts or EVERY_TOPIC:
        topic = text if text in EVERY_TOPIC else names.get(text.strip().lower())
        if topic is None:
            raise OperatorError(
                f"There is no topic {text}", _perhaps(text, [*names, *EVERY_TOPIC]), f"name one of {', '.join(names)}"
            )
        found.append(topic)
    return tuple(dict.fromkeys(found))


def plain_topic(topic: str) -> str:
    """Return `payments.dlq` for `rialto.payments.v1.dlq`."""
    return topic.removeprefix("rialto.").replace(".v1", "")


def _perhaps(text: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(text, known, n=1)
    return f"perhaps {near[0]} is meant" if near else "nothing here is called so"


def want_of(types: Sequence[str], payment: str | None, merchant: str | None) -> Want:
    """Return what is asked for.

    Raises: OperatorError: no such type, or not such an id.
    """
    story = None if payment is None else id_of("pay", payment)
    owner = None if merchant is None else id_of("mer", merchant)
    return Want(types_of(types), story, owner, None if owner is None else ids.shard_of(ids.from_text("mer", owner)))


def id_of(prefix: str, text: str) -> str:
    """Return an id of one kind in its text form, from that, from its 26 characters alone, or from a UUID.

    Raises: OperatorError: it is none; the text says what it is instead, or what is wrong with it.
    """
    given = text.strip()
    head, mark, tail = given.rpartition("_")
    try:
        if not mark and (as_uuid := _uuid(given)) is not None:
            return ids.to_text(prefix, as_uuid)
        return ids.to_text(prefix, ids.from_text(prefix, given if mark else f"{prefix}_{given}"))
    except InvalidId as error:
        raise OperatorError(
            f"{given[:60] or 'Nothing'} is not the id of {_KINDS[prefix]}",
            _wrong(prefix, head if mark else prefix, tail),
            f"give it as {prefix}_ and 26 characters, those characters alone, or a UUID",
        ) from error


def _wrong(prefix: str, head: str, tail: str) -> str:
    """What is wrong with an id, in words."""
    if head != prefix:
        return f"it is the id of {_KINDS[head]}" if head in _KINDS else f"it begins with {head[:20]}_ and not {prefix}_"
    if len(tail) != 26:
        return f"it has {len(tail)} characters after the prefix, and must have 26"
    strange = sorted(set(re.sub("[0-9a-hjkmnp-tv-z]", "", tail)))
    if strange:
        return f"an id has no {' '.join(strange)}: only digits and small letters, without i, l, o and u"
    return "it is too large for an id"


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def span_of(text: str) -> timedelta:
    """Return a span of time such as 90s, 10m, 2h, 1d or 1h30m.

    Raises: OperatorError: it is none.
    """
    parts = re.findall(r"(\d{1,9})([smhd])", text.strip().lower())
    if not parts or "".join(number + unit for number, unit in parts) != text.strip().lower():
        raise OperatorError(
            f"'{text}' is not a span of time", "it is not a number and s, m, h or d", "say 90s, 10m or 2h"
        )
    span = timedelta(seconds=sum(int(number) * _SECONDS[unit] for number, unit in parts))
    return min(span, _LONGEST)
