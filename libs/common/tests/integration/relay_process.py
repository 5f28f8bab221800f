"""A relay as a process of its own, which stops itself (SIGSTOP) the first time it comes to a chosen place.

python relay_process.py DSN KAFKA_URL OWNER PLACE FOLDER: writes FOLDER/stopping before it stops, FOLDER/resumed when it
goes on, and FOLDER/noticed once it has noticed that it does not lead any more.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from prometheus_client import CollectorRegistry

from rialto_common.bus.kafka_cluster import KafkaCluster
from rialto_common.bus.relay import Relay
from rialto_common.events.common import FRAUD
from rialto_common.metrics import RelayMetrics
from rialto_common.runtime import SystemRuntime

from datetime import timedelta  # isort: skip


class StoppingRuntime(SystemRuntime):
    def __init__(self, place: str, folder: Path) -> None:
        super().__init__()
        self._place = place
        self._folder = folder

    def crash_point(self, name: str) -> None:
        if name == self._place:
            self._place = ""
            (self._folder / "stopping").touch()
            os.kill(os.getpid(), signal.SIGSTOP)
            (self._folder / "resumed").touch()


async def main() -> None:
    dsn, url, owner, place, folder = sys.argv[1:]
    runtime = StoppingRuntime(place, Path(folder))
    relay = Relay(
        "bench",
        [FRAUD, FRAUD + ".dlq"],
        dsn=dsn,
        cluster=KafkaCluster.from_url(url),
        runtime=runtime,
        metrics=RelayMetrics(CollectorRegistry()),
        owner=owner,
        backlog_limit=100_000,
        lease=timedelta(seconds=1),
    )
    while True:
        pause = await relay.step()
        if pause > 0 and (Path(folder) / "resumed").exists():
            (Path(folder) / "noticed").touch()
        await runtime.sleep(pause)


asyncio.run(main())
