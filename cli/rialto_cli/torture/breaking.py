"""Does the faults of a schedule to a running stage, and measures how long each is felt."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

import psycopg

from rialto_cli.embedded.services import ANVIL
from rialto_cli.torture.again import Events
from rialto_cli.torture.book import Book
from rialto_cli.torture.control import Control
from rialto_cli.torture.diary import Diary, Entry
from rialto_cli.torture.proxy import FAIR, Proxy, Weather
from rialto_cli.torture.schedule import Fault
from rialto_cli.torture.stage import Stage, thaw

POLL_SECONDS = 0.1
RECOVERY_SECONDS = 120.0
"""How long after a fault's end its recovery is watched for."""
REVIVE_PAUSE_SECONDS = 0.5
ON_CHAIN = (ANVIL, "chain-bridge")
TRIES = 20


class Breaker:
    """Breaks one stage."""

    def __init__(
        self, stage: Stage, control: Control, proxies: Mapping[str, Proxy], events: Events, book: Book, diary: Diary
    ) -> None:
        self._stage, self._control, self._proxies, self._events = stage, control, proxies, events
        self._book, self._diary = book, diary
        self._began = time.monotonic()

    def start_clock(self) -> None:
        """Let the run begin now."""
        self._began = time.monotonic()

    def seconds(self) -> float:
        """The time since the start of the run."""
        return time.monotonic() - self._began

    async def follow(self, faults: list[Fault], note: Callable[[Entry], None]) -> None:
        """Do each fault when its time has come; returns when all are over and recovered from. `note` hears of each."""
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                await asyncio.sleep(max(0.0, fault.at - self.seconds()))
                group.create_task(self._do(fault, note))

    async def keep_supervised(self) -> None:
        """Start the supervisor again whenever it has ended, as its operator or systemd would."""
        while True:
            if not self._stage.is_up:
                await asyncio.sleep(REVIVE_PAUSE_SECONDS)
                self._stage.raise_curtain()
                self._diary.supervisor_starts += 1
            await asyncio.sleep(POLL_SECONDS)

    async def watch_settlements(self, auditor_dsn: str) -> None:
        """Note how many payments are settled, as often as the database answers."""
        while True:
            with suppress(psycopg.Error):
                self._diary.settled.append((self.seconds(), await asyncio.to_thread(_settled, auditor_dsn)))
            await asyncio.sleep(1.0)

    async def _do(self, fault: Fault, note: Callable[[Entry], None]) -> None:
        entry = Entry(fault, self.seconds())
        self._diary.entries.append(entry)
        match fault.kind:
            case "kill":
                pid = self._stage.kill(fault.target)
                entry.effect = "it was not running" if pid is None else f"process {pid} killed"
            case "pause":
                family = self._stage.freeze(fault.target)
                entry.effect = f"{len(family)} processes stopped"
                await asyncio.sleep(fault.seconds)
                thaw(family)
            case "clock":
                self._control.set_clock(fault.target, fault.amount)
                entry.effect = f"clock off by {fault.amount:+.0f} s"
                await asyncio.sleep(fault.seconds)
                self._control.set_clock(fault.target, 0)
            case "repeat" | "late":
                entry.effect = await self._again(fault)
            case _:
                entry.effect = await self._spoil(fault)
        entry.ended = self.seconds()
        note(entry)
        await self._recover(entry)

    async def _spoil(self, fault: Fault) -> str:
        proxy = self._proxies[fault.target]
        weather = {
            "cut": FAIR,
            "refuse": Weather(refuses=True),
            "delay": Weather(delay_seconds=fault.amount),
            "throttle": Weather(bytes_a_second=fault.amount),
            "blackhole": Weather(silent=True),
        }[fault.kind]
        proxy.set(weather)
        effect = {
            "delay": f"each way {fault.amount:.2f} s slower",
            "throttle": f"{fault.amount / 1000:.0f} kB/s",
            "blackhole": "nothing comes through",
        }.get(fault.kind)
        if fault.kind in ("cut", "refuse"):
            effect = f"{proxy.cut()} connections cut"
        await asyncio.sleep(fault.seconds)
        proxy.set(FAIR)
        if fault.kind == "blackhole":
            proxy.cut()  # as whatever was silent has forgotten them
        return effect or ""

    async def _again(self, fault: Fault) -> str:
        group = fault.target.replace("-", "_")
        for _ in range(TRIES):
            try:
                count = await asyncio.to_thread(self._events.deliver_again, group, int(fault.amount))
            except psycopg.Error:
                await asyncio.sleep(POLL_SECONDS)
            else:
                return f"{count} events come again"
        return "the database was away"

    async def _recover(self, entry: Entry) -> None:
        """Wait for the first payment that was sent after the end and decided; for the chain, for one settled."""
        chain = entry.fault.target.split(":")[-1] in ON_CHAIN or entry.fault.target in ON_CHAIN
        settled = self._diary.settled[-1][1] if self._diary.settled else 0
        while self.seconds() - entry.ended < RECOVERY_SECONDS:
            if chain:
                done = [at for at, count in self._diary.settled[-5:] if at > entry.ended and count > settled]
            else:
                done = [decided for sent, decided in self._book.decided[-200:] if sent >= entry.ended]
            if done:
                entry.recovered_seconds = min(done) - entry.ended
                return
            await asyncio.sleep(POLL_SECONDS)


def _settled(auditor_dsn: str) -> int:
    with psycopg.connect(auditor_dsn, connect_timeout=5) as connection:
        row = connection.execute("SELECT count(*) FROM gateway.payments WHERE state = 'settled'").fetchone()
    return 0 if row is None else int(row[0])
