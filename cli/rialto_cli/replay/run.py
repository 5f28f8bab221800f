"""One replay from a selection of rows to a report: set the scene, send, follow, check the books."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rialto_cli.errors import OperatorError
from rialto_cli.replay import report
from rialto_cli.replay.api import Api, Refused, Stalled
from rialto_cli.replay.names import Cast, fixture_people
from rialto_cli.replay.progress import Progress, keep_showing
from rialto_cli.replay.report import Report
from rialto_cli.replay.scene import Scene, Stage
from rialto_cli.replay.sender import Pace, Sender, run_token
from rialto_cli.replay.source import Selection
from rialto_cli.replay.tally import Tally
from rialto_cli.replay.unknowns import Unknown, ask, card_payments
from rialto_cli.replay.watch import Watcher

Books = Mapping[str, Mapping[str, Any]]

_SCENE_IN_FLIGHT = 48


@dataclass(frozen=True, slots=True)
class Platform:
    """The running platform that a replay pays on."""

    base_url: str
    admin_key: str
    data_dir: Path
    check_books: Callable[[], Books]


@dataclass(frozen=True, slots=True)
class Options:
    """How to replay. `run` names one paying of the file: another name pays its rows again, from wallets of its own.

    `card_share` is the share of customers who pay by card.
    """

    pace: Pace
    run: str
    patience_seconds: float
    poll_seconds: float = 1.0
    card_share: float = 0.0


@dataclass(frozen=True, slots=True)
class _Sent:
    tally: Tally
    duration_seconds: float
    repeats: int
    stopped: str | None
    unknowns: list[Unknown]


async def replay(selection: Selection, platform: Platform, options: Options, progress: Progress) -> Report:
    """Pay the rows and return the report.

    Books that cannot be read fail the report, they do not lose it.
    Raises: OperatorError: the scene cannot be set.
    """
    sent = await _pay(selection, platform, options, progress)
    progress.say("checking the books")
    books: Books = {}
    stopped = sent.stopped
    try:
        books = await asyncio.to_thread(platform.check_books)
    except OperatorError as error:
        stopped = stopped or f"{error}; {error.next_step}"
    return report.build(
        selection,
        sent.tally,
        books,
        duration_seconds=sent.duration_seconds,
        repeats=sent.repeats,
        stopped=stopped,
        unknowns=sent.unknowns,
        notes={"run": options.run, "rows": len(selection)},
    )


async def _pay(selection: Selection, platform: Platform, options: Options, progress: Progress) -> _Sent:
    tally = Tally(selection)
    connections = options.pace.in_flight + 4
    async with Api(platform.base_url, patience_seconds=options.patience_seconds, connections=connections) as api:
        scene = await _set_scene(api, selection, platform, options, progress)
        watcher = Watcher(
            api,
            platform.admin_key,
            scene.token,
            tally,
            patience_seconds=options.patience_seconds,
            poll_seconds=options.poll_seconds,
        )
        began = time.monotonic()
        showing = asyncio.create_task(keep_showing(progress, tally))
        try:
            stopped = await _send_and_follow(Sender(api, scene, selection, tally, watcher), watcher, tally, options)
        finally:
            showing.cancel()
        duration = time.monotonic() - began
        cards = list(card_payments(selection, scene.cast, tally)) if options.card_share and not stopped else []
        found = await ask(api, platform.admin_key, cards) if cards else []
        return _Sent(tally, duration, api.repeats, stopped, found)


async def _set_scene(api: Api, selection: Selection, platform: Platform, options: Options, progress: Progress) -> Scene:
    # The cast follows the file, not the run: a file's customers keep their names and luck in every run of it.
    cast = Cast(selection.fingerprint, fixture_people(), card_share=options.card_share)
    stage = Stage(api, platform.admin_key, platform.data_dir / "replay", in_flight=_SCENE_IN_FLIGHT)
    try:
        return await stage.set(run_token(selection.fingerprint, options.run), cast, selection, progress.note)
    except ExceptionGroup as group:
        raise _first(group) from group


async def _send_and_follow(sender: Sender, watcher: Watcher, tally: Tally, options: Options) -> str | None:
    """Return why it ended early, or None when every payment came to rest."""
    sent = asyncio.Event()

    async def send() -> None:
        await sender.send_all(options.pace)
        sent.set()

    try:
        async with asyncio.TaskGroup() as group:
            following = group.create_task(watcher.follow(sent))
            group.create_task(send())
    except ExceptionGroup as raised:
        error = _first(raised)
        return f"{error}; {error.next_step}"
    if not following.result():
        return f"{tally.pending} payments have not moved for {options.patience_seconds:.0f} s"
    return None


def _first(group: ExceptionGroup[Exception]) -> OperatorError:
    """Return the first expected error of a group; anything else is a bug and goes up as it is."""
    expected, rest = group.split((Stalled, Refused, OperatorError))
    if rest is not None or expected is None:
        raise group
    error: BaseException = expected
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if not isinstance(error, OperatorError):
        raise group
    return error
