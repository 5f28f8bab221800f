"""A service that does nothing of use, on the real frame: run as a process by `test_service.py`."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import SettingsConfigDict

from rialto_common.bus.postgres import PostgresTransaction
from rialto_common.errors import Conflict, MalformedEvent
from rialto_common.events.common import FRAUD
from rialto_common.events.envelope import Event
from rialto_common.service import Service, run
from rialto_common.settings import ServiceSettings
from rialto_common.testing import TYPE


class TinySettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="RIALTO_TINY_", frozen=True, extra="ignore", populate_by_name=True)

    folder: Path


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")

    item: str
    count: int = Field(gt=0)


class TakesNoText(Conflict):
    code = "takes_no_text"


async def build(service: Service[TinySettings]) -> None:
    folder = service.settings.folder
    router = APIRouter()

    @router.post("/orders", status_code=201)
    async def order(order: Order) -> dict[str, int]:
        return {"characters": len(order.item)}

    @router.get("/broken")
    async def broken() -> None:
        raise RuntimeError("the password is swordfish")

    @router.get("/refused")
    async def refused() -> None:
        raise TakesNoText("not now", param="item")

    @router.get("/handled")
    async def handled() -> dict[str, int]:
        async with service.unit_of_work.begin() as transaction:
            return {"events": await transaction.connection.fetchval("SELECT count(*) FROM tiny.handled")}

    @router.get("/slow")
    async def slow() -> dict[str, str]:
        (folder / "entered").touch()
        while not (folder / "leave").exists():  # noqa: ASYNC110 - told from another process
            await asyncio.sleep(0.02)
        return {"status": "finished"}

    async def handle(transaction: PostgresTransaction, events: Sequence[Event]) -> None:
        for event in events:
            if event.sequence == 13 and not (folder / "healed").exists():
                raise MalformedEvent("unlucky")
        await transaction.connection.executemany(
            "INSERT INTO tiny.handled (key, sequence) VALUES ($1, $2)",
            [(event.key, event.sequence) for event in events],
        )

    async def close_badly() -> None:
        raise RuntimeError("this part cannot be closed")

    service.add_router(router)
    await service.consume("tiny", [FRAUD], frozenset({TYPE}), handle)
    service.on_close(close_badly)


if __name__ == "__main__":
    run("tiny", TinySettings, build, publishes=[])
