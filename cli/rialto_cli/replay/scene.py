"""Sets the scene as the platform's operator and a merchant would: shops that own the terminals, funded wallets.

A transaction file has neither names nor merchants nor money, so a run opens a few dozen merchants, each owning the
terminals that hash to it, and a wallet per customer who does not pay by card, topped up with what the customer's rows
come to (half of that for the seeded few who are short of money). Every request bears an idempotency key derived from
the run, and what it made is kept in the data directory, so a run that is repeated finds the same merchants and wallets:
the rows' own idempotency keys count per merchant, so a second set of merchants would let rows be paid twice.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from rialto_cli.embedded.files import write_atomically
from rialto_cli.errors import OperatorError
from rialto_cli.replay import names
from rialto_cli.replay.api import Answer, Api
from rialto_cli.replay.names import Cast
from rialto_cli.replay.source import Selection

MERCHANTS = 24
CURRENCY = "USD"

_ROUND_MINOR = 10_000
"""Top-ups are rounded up to whole hundreds, as people's are."""


@dataclass(frozen=True, slots=True)
class Merchant:
    """A shop of this run and its secret test key."""

    id: str
    key: str


@dataclass(slots=True)
class Scene:
    """The merchants and wallets of one run. `funded` is, per window, whose wallet was topped up for it."""

    token: str
    cast: Cast
    merchants: list[Merchant] = field(default_factory=list)
    wallets: dict[str, str] = field(default_factory=dict)
    funded: dict[str, set[str]] = field(default_factory=dict)

    def merchant_of(self, terminal: str) -> Merchant:
        """Return the shop that owns a terminal: by its hash, so the same in every run."""
        return self.merchants[merchant_ordinal(terminal)]


def merchant_ordinal(terminal: str) -> int:
    """Return which of the MERCHANTS owns a terminal."""
    return int.from_bytes(sha256(terminal.encode()).digest()[:4], "big") % MERCHANTS


def top_up_minor(need_minor: int, short: bool) -> int:
    """Return what a wallet gets for rows that come to `need_minor`: enough and rounded up, or half of it; may be 0."""
    return need_minor // 2 if short else -(-need_minor // _ROUND_MINOR) * _ROUND_MINOR


class Stage:
    """Builds a scene through the API, and remembers it in a file that only its owner may read (it holds keys)."""

    def __init__(self, api: Api, admin_key: str, directory: Path, *, in_flight: int) -> None:
        self._api, self._admin_key, self._directory = api, admin_key, directory
        self._in_flight = in_flight

    async def set(self, token: str, cast: Cast, selection: Selection, note: Callable[[str, int, int], None]) -> Scene:
        """Return the scene of a run, making what of it does not exist yet.

        Args: note: told what is being made, how many are done, and of how many.
        Raises: OperatorError: the platform refuses a part of it. ExceptionGroup of Stalled: it stays silent.
        """
        scene = self._recall(token, cast)
        if not scene.merchants:
            scene.merchants = [await self._open_merchant(token, cast, ordinal) for ordinal in range(MERCHANTS)]
            self._remember(scene)
        needs = {customer: need for customer, need in selection.needs().items() if not cast.customer(customer).by_card}
        funded = scene.funded.setdefault(selection.window, set())
        todo = [customer for customer in needs if customer not in funded]
        done = 0

        async def fund(customer: str) -> None:
            nonlocal done
            await self._fund(scene, customer, selection.window, needs[customer])
            funded.add(customer)
            done += 1
            note("wallets", done, len(todo))

        if todo:
            try:
                await _for_each(todo, fund, self._in_flight)
            finally:
                self._remember(scene)
        return scene

    async def _open_merchant(self, token: str, cast: Cast, ordinal: int) -> Merchant:
        address = "0x" + sha256(f"{token}/settlement/{ordinal}".encode()).hexdigest()[:40]
        answer = await self._api.post(
            "/v1/merchants",
            {"name": names.shop_name(cast.seed, ordinal), "country": "US", "settlement_address": address},
            key=self._admin_key,
            idempotency_key=f"replay-{token}-merchant-{ordinal}",
        )
        body = _made(answer, "a merchant")
        return Merchant(str(body["id"]), str(body["keys"]["test"]))

    async def _fund(self, scene: Scene, customer: str, window: str, need_minor: int) -> None:
        wallet = scene.wallets.get(customer)
        if wallet is None:
            answer = await self._api.post(
                "/v1/wallets",
                {"currency": CURRENCY},
                key=self._admin_key,
                idempotency_key=f"replay-{scene.token}-wallet-{_tag(customer)}",
            )
            wallet = scene.wallets[customer] = str(_made(answer, "a wallet")["id"])
        amount = top_up_minor(need_minor, scene.cast.customer(customer).short)
        if amount:
            answer = await self._api.post(
                f"/v1/wallets/{wallet}/top_ups",
                {"amount_minor": str(amount)},
                key=self._admin_key,
                idempotency_key=f"replay-{scene.token}-{window}-{_tag(customer)}",
            )
            _made(answer, "a top-up")

    def _path(self, token: str) -> Path:
        return self._directory / f"{token}.json"

    def _recall(self, token: str, cast: Cast) -> Scene:
        path = self._path(token)
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return Scene(token, cast)
        except ValueError as error:
            raise OperatorError(
                "The replay's record of its merchants and wallets cannot be read",
                f"{path}: {error}",
                f"remove {path} to pay the file's rows afresh",
            ) from error
        return Scene(
            token,
            cast,
            [Merchant(**merchant) for merchant in kept["merchants"]],
            kept["wallets"],
            {window: set(customers) for window, customers in kept["funded"].items()},
        )

    def _remember(self, scene: Scene) -> None:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        kept: dict[str, Any] = {
            "merchants": [asdict(merchant) for merchant in scene.merchants],
            "wallets": scene.wallets,
            "funded": {window: sorted(customers) for window, customers in scene.funded.items()},
        }
        write_atomically(self._path(scene.token), json.dumps(kept), mode=0o600)


def _tag(customer: str) -> str:
    """Return a customer id in a form that fits a header, whatever characters and length the file uses."""
    return sha256(customer.encode()).hexdigest()[:24]


def _made(answer: Answer, what: str) -> dict[str, Any]:
    if not answer.ok:
        raise OperatorError(
            f"The platform refuses to open {what}",
            f"{answer.status} {answer.code}: {answer.detail}",
            "check that the command and the platform are of the same version",
        )
    return answer.body


async def _for_each(items: Iterable[str], work: Callable[[str], Awaitable[None]], at_once: int) -> None:
    remaining = iter(items)

    async def drain() -> None:
        for item in remaining:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(drain())
