"""An entry as a line: for a person, coloured where there is a terminal, or as JSON for a program."""

import json
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from rich.console import Console
from rich.text import Text

from rialto_cli.events.port import Entry
from rialto_cli.events.selection import plain_topic, short
from rialto_cli.events.summary import printable, summary
from rialto_common.bus.port import DEAD_LETTER_SUFFIX
from rialto_common.events.json_form import to_json

REMEMBERED = 20_000
"""Of how many events the type is kept, to tell it where they are a cause."""

_GOOD = frozenset({"approved", "authorised", "captured", "placed", "settled", "confirmed", "resolved", "received"})
_BAD = frozenset({"declined", "failed", "refused"})
_ODD = frozenset({"review_opened", "unknown", "reorged", "expired", "voided"})

Line = Callable[[Entry], str]


def json_line(entry: Entry) -> str:
    """Return one JSON object: where it lies, and the CloudEvent; or why it is none."""
    form: dict[str, Any] = {"partition": entry.place.partition, "position": entry.position}
    if entry.event is None:
        form = {"topic": entry.place.topic, **form, "time": _iso(entry.time), "error": entry.fault}
    else:
        event = to_json(entry.event)
        form = {"topic": event.pop("topic"), **form, **event}
    line = json.dumps(form, ensure_ascii=False)
    # Characters that turn the text's direction, or end a line for some readers, are escaped.
    return line if line.isprintable() else json.dumps(form)


class Lines:
    """Writes entries for a person. Styles are worked out once: rich takes half a millisecond for a line."""

    def __init__(self, console: Console) -> None:
        self._styles = {
            style: _codes(console, style) for style in ("dim", "cyan", "green", "bold red", "yellow", "bold")
        }
        self._types: OrderedDict[UUID, str] = OrderedDict()

    def __call__(self, entry: Entry) -> str:
        """Return the line: time in UTC, topic, type, key, sequence, what it says, and what it follows from."""
        time = self._in("dim", _stamp(entry.time))
        topic = plain_topic(entry.place.topic)
        dead = entry.place.topic.endswith(DEAD_LETTER_SUFFIX)
        event = entry.event
        if event is None:
            where = f"no event at partition {entry.place.partition}, position {entry.position}:"
            return f"{time}  {self._in('bold red', f'{topic:11}  {where}')} {printable(entry.fault or '')}"
        name = printable(short(event.type))
        parts = [
            time,
            self._in("bold red" if dead else "cyan", f"{topic:11}"),
            self._in("bold red" if dead else _style(name), f"{name:21}"),
            printable(event.key),
            self._in("dim", f"#{event.sequence}"),
            summary(_data(event.data)),
        ]
        if event.causation_id is not None:
            parts.append(self._in("dim", f"← {self._cause(event.causation_id)}"))
        self._remember(event.id, name)
        return "  ".join(part for part in parts if part)

    def _in(self, style: str, text: str) -> str:
        before, after = self._styles[style]
        return f"{before}{text}{after}"

    def _cause(self, causation_id: str) -> str:
        try:
            known = self._types.get(UUID(causation_id))
        except ValueError:
            known = None
        return known or printable(causation_id[-12:])

    def _remember(self, event_id: UUID, name: str) -> None:
        self._types[event_id] = name
        if len(self._types) > REMEMBERED:
            self._types.popitem(last=False)


def _style(name: str) -> str:
    last = name.rpartition(".")[2]
    for style, words in (("green", _GOOD), ("bold red", _BAD), ("yellow", _ODD)):
        if last in words:
            return style
    return "bold"


def _codes(console: Console, style: str) -> tuple[str, str]:
    """Return what a terminal needs before and after a text of that style; nothing where there is none."""
    with console.capture() as captured:
        console.print(Text("|", style=style), end="")
    before, _, after = captured.get().partition("|")
    return before, after


def _data(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode(errors="replace")


def _stamp(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
