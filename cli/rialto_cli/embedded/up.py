"""`rialto up`: start, tell how to reach it, keep it running; and `rialto migrate`."""

import asyncio
import signal
import sys
from contextlib import suppress
from pathlib import Path

from rialto_cli.console import Progress
from rialto_cli.embedded import directory, platform, postgres, secrets, services, welcome
from rialto_cli.embedded.migrations import Migration
from rialto_cli.embedded.platform import Options, Stopped
from rialto_cli.embedded.processes import free_ports
from rialto_cli.embedded.services import POSTGRES, PROGRAMS, Installation
from rialto_cli.embedded.state import RunLock, State, is_running
from rialto_cli.embedded.status import find_running

STOPPED_EARLY = 130


async def run(options: Options) -> int:
    """Run the platform until someone stops it; returns the exit status."""
    with Progress() as progress:
        try:
            async with platform.running(options, progress) as running:
                demo = await running.unless_stopped(asyncio.to_thread(welcome.ensure, running.installation))
                with suppress(BrokenPipeError):  # nobody reads, as in `rialto up | head`: it runs all the same
                    sys.stdout.write(welcome.text(running.installation, demo))
                    sys.stdout.flush()
                await running.wait_until_stopped()
        except Stopped:
            return STOPPED_EARLY
    return 0


async def migrate(data_dir: Path) -> list[Migration]:
    """Apply the pending migrations, on the running server or on one started for the purpose.

    Raises: OperatorError: see the platform's and the migrations' own.
    """
    with Progress() as progress:
        if is_running(data_dir):
            installation, _ = find_running(data_dir)
            return await asyncio.to_thread(platform.migrate, installation, progress)
        directory.prepare(data_dir)
        with RunLock(data_dir):
            return await asyncio.to_thread(_migrate_alone, data_dir, progress)


def _migrate_alone(data_dir: Path, progress: Progress) -> list[Migration]:
    state = State.load(data_dir)
    platform.end_leftovers(state)
    ports = dict(zip(PROGRAMS, free_ports(len(PROGRAMS)), strict=True)) | state.ports
    installation = Installation(data_dir, secrets.load_or_create(data_dir), ports)
    progress.waiting("starting PostgreSQL")
    postgres.initialise(installation.cluster, installation.secrets.superuser_password)
    services.program(installation, POSTGRES).prepare()
    with (installation.logs / "postgres.log").open("ab") as log:
        process = postgres.start(installation.cluster, log)
    try:
        postgres.wait_until_ready(installation.access, lambda: process.poll() is None)
        return platform.migrate(installation, progress)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()
