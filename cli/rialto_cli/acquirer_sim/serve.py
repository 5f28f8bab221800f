"""The simulated acquirer as a process."""

import asyncio
import signal
from pathlib import Path

from aiohttp import web
from rich.console import Console

from rialto_cli.acquirer_sim.books import Books
from rialto_cli.acquirer_sim.server import AcquirerSim, Address
from rialto_common.runtime import SystemRuntime

HOST = "127.0.0.1"


async def serve(port: int, data_dir: Path, api_key: str, webhooks: Address | None, name: str) -> None:
    """Serve until told to end."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    sim = AcquirerSim(
        Books(data_dir / "acquirer.sqlite"),
        SystemRuntime(),
        api_key=api_key,
        public_url=f"http://{HOST}:{port}",
        webhooks=webhooks,
        name=name,
    )
    runner = web.AppRunner(sim.app(), access_log=None, shutdown_timeout=1.0, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, HOST, port).start()
    Console(stderr=True).print(f"✓ the acquirer listens at http://{HOST}:{port}")
    work = asyncio.create_task(sim.run())
    waiting = asyncio.create_task(ended.wait())
    done, _ = await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
    work.cancel()
    await runner.cleanup()
    if work in done:
        work.result()  # it never ends by itself: this raises what broke it
