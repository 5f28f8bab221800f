"""`rialto kafka`: a Kafka for services that are started by hand, and nothing else."""

import asyncio
import signal
import sys
from contextlib import suppress
from pathlib import Path

from rich.markup import escape

from rialto_cli.console import Progress
from rialto_cli.embedded import directory, kafka, kafka_jars, processes
from rialto_cli.embedded.state import RunLock
from rialto_cli.embedded.supervisor import Keeper
from rialto_cli.errors import OperatorError
from rialto_cli.topics.cluster import cluster_of, ensure_topics


async def run(data_dir: Path, port: int) -> int:
    """Run it until someone stops it; returns the exit status.

    Raises: OperatorError: it cannot start here.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with Progress() as progress:
        kafka_jars.install(progress)
        directory.prepare(data_dir)
        # It is the same Kafka that `rialto up --bus kafka` runs: only one of them at a time.
        with RunLock(data_dir):
            node = await asyncio.to_thread(_prepare, data_dir, port, progress)
            keeper = Keeper(kafka.program(node), data_dir / "logs" / "kafka.log", _Teller(progress))
            progress.waiting("starting Kafka")
            keeper.start()
            try:
                await _serve(node, keeper, progress, stop)
            finally:
                progress.waiting("stopping")
                await keeper.stop()
    return 0


async def _serve(node: kafka.Node, keeper: Keeper, progress: Progress, stop: asyncio.Event) -> None:
    await keeper.wait_until_ready()
    _, created = await ensure_topics(cluster_of(node.url))
    progress.idle()
    if created:
        progress.done(f"{created} topics are as they should be now")
    with suppress(BrokenPipeError):  # nobody reads: it runs all the same
        sys.stdout.write(f"RIALTO_BUS_URL={node.url}\n\nStop: Ctrl-C\n")
        sys.stdout.flush()
    await stop.wait()


def _prepare(data_dir: Path, port: int, progress: Progress) -> kafka.Node:
    if not processes.port_is_free(port):
        raise OperatorError(
            f"Port {port} is in use",
            f"{directory.listener(port)} listens on it",
            "stop that program, or name another port: --port P",
        )
    node = kafka.Node(data_dir / "kafka", port, processes.free_ports(1, taken=[port])[0])
    progress.waiting("creating Kafka's files")
    kafka.initialise(node)
    return node


class _Teller:
    """Tells what happens to the one program."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def ready(self, name: str, port: int, seconds: float) -> None:
        """It answered."""
        self._progress.done(f"Kafka is ready on port {port} ({seconds:.1f} s)")

    def died(self, name: str, reason: str, delay_seconds: float) -> None:
        """It ended by itself."""
        when = "now" if delay_seconds == 0 else f"in {delay_seconds:.1f} s"
        self._progress.warn(f"Kafka {escape(reason)}. It starts again {when}.")

    def stopped(self, name: str) -> None:
        """It was stopped."""
        self._progress.done("Kafka has stopped")

    def processes_changed(self) -> None:
        """Nobody asks for its process."""

    def disk_is_full(self, free_bytes: int) -> None:
        """Only a supervisor of several programs watches the disk."""
