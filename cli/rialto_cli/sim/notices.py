"""News from acquirers: what they have decided, told by themselves, late, twice, out of order, or not at all.

It goes past the routes' signatures and the record of messages, and straight to what hears them: that decides.
"""

from typing import cast

from rialto_cli.sim.acquirer import Acquirer
from rialto_cli.sim.world import GatewayDoor, World
from rialto_common.errors import CommitUnknown, ServiceUnavailable
from rialto_common.virtual_time import SimulatedProcess
from rialto_gateway.connectors.port import Answer

TRIES = 5
TWICE = 0.2
LATEST_SECONDS = (0.0, 0.5, 30.0, 3_600.0)


class Notices:
    """Tells gateways of what acquirers decide."""

    def __init__(self, world: World, process: SimulatedProcess) -> None:
        self._world = world
        self._process = process

    def decided(self, acquirer: Acquirer, reference: str, answer: Answer) -> None:
        """Have it told, perhaps."""
        world = self._world
        if world.draw() >= world.acquirer_faults().tells:
            return
        for _ in range(1 + (world.draw() < TWICE)):
            latest = LATEST_SECONDS[int(world.draw() * len(LATEST_SECONDS))]
            self._process.spawn(self._tell(acquirer.name, reference, answer, world.draw() * latest), name="notice")

    async def _tell(self, acquirer: str, reference: str, answer: Answer, after: float) -> None:
        await self._process.sleep(after)
        pause = 1.0
        for _ in range(TRIES):
            gateway = self._world.some("gateway")
            if gateway is not None and gateway.process is not None:
                door = cast(GatewayDoor, gateway.door)
                try:
                    await gateway.process.call(door.resolver.hear(acquirer, reference, answer), "notice")
                except (OSError, ServiceUnavailable, CommitUnknown) as error:
                    self._world.tell(f"{acquirer}: {type(error).__name__}")
                else:
                    self._world.bus.struck[f"notice of {type(answer).__name__}"] += 1
                    return
            await self._process.sleep(pause)
            pause *= 4
