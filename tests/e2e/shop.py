"""A merchant that charges wallets through the public API."""

import itertools
import os
from dataclasses import dataclass, field
from hashlib import sha256
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import httpx

from rialto_common import ids

from .running import PATIENCE_SECONDS, Rialto, eventually

FINAL = frozenset({"settled", "declined", "voided", "expired", "failed"})
REQUEST_SECONDS = 60.0
_numbers = itertools.count(1)


def new_name(kind: str) -> str:
    """A name that no other test uses, whatever ran before on the same data directory."""
    return f"{kind}-{os.getpid()}-{next(_numbers)}"


@dataclass
class Shop:
    """One merchant, its test key, and the address it is paid at. Use as a context manager."""

    rialto: Rialto
    name: str = field(default_factory=lambda: new_name("shop"))

    def __enter__(self) -> Self:
        self.address = "0x" + sha256(self.name.encode()).hexdigest()[:40]
        self.client = httpx.Client(base_url=self.rialto.url, timeout=REQUEST_SECONDS)
        self.admin = {"Authorization": f"Bearer {self.rialto.installation.secrets.gateway_admin_key}"}
        body = {"name": self.name, "country": "US", "settlement_address": self.address}
        made = done(self.client.post("/v1/merchants", json=body, headers=self.admin | keyed("merchant")))
        self.id: str = made["id"]
        self.key: str = made["keys"]["test"]
        self.client.headers["Authorization"] = f"Bearer {self.key}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()

    @property
    def shard(self) -> int:
        """Where the merchant's events lie."""
        return ids.shard_of(ids.from_text("mer", self.id))

    def wallet(self, amount_minor: int) -> str:
        """Open a wallet with money in it."""
        wallet = done(self.client.post("/v1/wallets", json={"currency": "USD"}, headers=keyed("wallet")))["id"]
        done(
            self.client.post(
                f"/v1/wallets/{wallet}/top_ups",
                json={"amount_minor": str(amount_minor)},
                headers={"Idempotency-Key": new_name("top-up")},
            )
        )
        return str(wallet)

    def price(self, *prices: dict[str, Any]) -> None:
        """Have the operator set what payments cost this merchant from now on."""
        path = f"/v1/merchants/{self.id}/pricing?mode=test"
        done(self.client.put(path, json={"prices": list(prices)}, headers=self.admin))

    def balances(self, wallet: str) -> tuple[int, int]:
        """A wallet's ledger and available balance."""
        found = done(self.client.get(f"/v1/wallets/{wallet}"))
        return int(found["ledger_balance_minor"]), int(found["available_balance_minor"])

    def offer(
        self, wallet: str, amount_minor: int, key: str, *, name: str = "Ada Lovelace", **more: Any
    ) -> httpx.Response:
        """Send a payment and return the answer, whatever it is."""
        body = {
            "amount_minor": str(amount_minor),
            "currency": "USD",
            "payment_method": {"type": "wallet", "wallet_id": wallet},
            "payer": {"name": name, "country": "GB"},
            **more,
        }
        return self.client.post("/v1/payments", json=body, headers={"Idempotency-Key": key})

    def pay(self, wallet: str, amount_minor: int, *, name: str = "Ada Lovelace", **more: Any) -> str:
        """Make a payment that is accepted; returns its id."""
        response = self.offer(wallet, amount_minor, new_name("payment"), name=name, **more)
        assert response.status_code == 202, response.text
        return str(response.json()["id"])

    def get(self, payment_id: str) -> dict[str, Any]:
        """A payment with its timeline and captures."""
        return done(self.client.get(f"/v1/payments/{payment_id}"))

    def until(self, payment_id: str, *states: str, timeout_seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """Return the payment once it is in one of the states; it must not end in another one meanwhile."""

        def reached() -> dict[str, Any]:
            payment = self.get(payment_id)
            assert payment["status"] in states or payment["status"] not in FINAL, payment
            return payment if payment["status"] in states else {}

        return eventually(reached, f"{payment_id} is {' or '.join(states)}", timeout_seconds)

    def capture(self, payment_id: str, **body: Any) -> dict[str, Any]:
        """Capture, and see the ledger's answer."""
        return self._command(payment_id, "capture", body)

    def void(self, payment_id: str) -> dict[str, Any]:
        """Give back what is not captured."""
        return self._command(payment_id, "void", {})

    def review(self, payment_id: str, decision: str) -> dict[str, Any]:
        """Decide a review, as the operator."""
        path = f"/v1/payments/{payment_id}/review"
        return done(self.client.post(path, json={"decision": decision}, headers=self.admin | keyed("review")))

    def _command(self, payment_id: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Prefer": "wait=30"} | keyed(name)
        return done(self.client.post(f"/v1/payments/{payment_id}/{name}", json=body, headers=headers))


def keyed(name: str) -> dict[str, str]:
    """A new idempotency key, as a header."""
    return {"Idempotency-Key": new_name(name)}


def done(response: httpx.Response) -> dict[str, Any]:
    """The body of an answer that says yes."""
    assert response.is_success, f"{response.request.method} {response.request.url}: {response.text}"
    return dict(response.json())


def uuid_of(payment_id: str) -> UUID:
    """A payment's id as the database has it."""
    return ids.from_text("pay", payment_id)
