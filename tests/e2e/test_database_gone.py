"""PostgreSQL is away: nothing is accepted that is not durable, nothing is lost, and no service has to be restarted."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx

from .running import Rialto, eventually
from .shop import Shop, keyed, new_name

PAUSE_SECONDS = 0.05


def is_unavailable(answer: httpx.Response) -> bool:
    """Whether an answer says what it should: come again, and when."""
    assert answer.status_code == 503, answer.text
    problem = answer.json()
    assert (problem["code"] in ("service_unavailable", "commit_unknown"), problem["retryable"]) == (True, True), problem
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert int(answer.headers["Retry-After"]) >= 1
    return True


class Customers:
    """People who go on paying, each payment under a key of its own, whatever is answered."""

    def __init__(self, shop: Shop, wallet: str) -> None:
        self.answers: dict[str, httpx.Response] = {}
        self._shop, self._wallet = shop, wallet
        self._leave = threading.Event()

    @contextmanager
    def paying(self) -> Iterator[None]:
        """Pay in the background until the end of the block."""
        with ThreadPoolExecutor(1) as pool:
            work = pool.submit(self._pay_on)
            try:
                yield
            finally:
                self._leave.set()
                work.result()

    def statuses(self) -> Counter[int]:
        """How many answers of each status there have been."""
        return Counter(answer.status_code for answer in list(self.answers.values()))

    def _pay_on(self) -> None:
        while not self._leave.is_set():
            key = new_name("customer")
            self.answers[key] = self._shop.offer(self._wallet, 10, key)
            time.sleep(PAUSE_SECONDS)


@contextmanager
def postgres_away(rialto: Rialto) -> Iterator[None]:
    """Kill PostgreSQL and keep it from coming back: its supervisor is stopped meanwhile."""
    pid = rialto.pids()["postgres"]
    supervisor = rialto.supervisor
    supervisor.suspend()
    try:
        os.kill(pid, signal.SIGKILL)
        yield
    finally:
        supervisor.resume()


def test_while_postgres_is_dead_every_answer_is_503_and_nothing_accepted_is_lost(rialto: Rialto, shop: Shop) -> None:
    wallet = shop.wallet(100_000)
    services = rialto.service_pids()
    customers = Customers(shop, wallet)
    with customers.paying():
        eventually(lambda: customers.statuses()[202] >= 10, "payments are accepted")
        with postgres_away(rialto):
            eventually(lambda: customers.statuses()[503] >= 10, "payments are refused")
            assert is_unavailable(shop.client.get("/v1/payments"))
            assert is_unavailable(shop.client.post("/v1/wallets", json={"currency": "USD"}, headers=keyed("wallet")))
            headers = {"Idempotency-Key": new_name("top-up")}
            top_up = shop.client.post(f"/v1/wallets/{wallet}/top_ups", json={"amount_minor": "1"}, headers=headers)
            assert is_unavailable(top_up)
            ready = httpx.get(f"{rialto.url}/readyz", timeout=30)
            assert (ready.status_code, list(ready.json()["missing"])) == (503, ["database"])
            assert httpx.get(f"{rialto.url}/healthz", timeout=30).status_code == 200
            accepted = customers.statuses()[202]
            eventually(lambda: customers.statuses()[503] >= 20, "they are refused for as long as it is away")
            assert customers.statuses()[202] == accepted
        eventually(lambda: customers.statuses()[202] >= accepted + 10, "payments are accepted again")
    assert set(customers.statuses()) == {202, 503}
    refused = [key for key, answer in customers.answers.items() if answer.status_code == 503]
    assert all(is_unavailable(customers.answers[key]) for key in refused)

    # Sent again under its key, each becomes the payment it always was meant to be, and every one ends as it should.
    again = {key: shop.offer(wallet, 10, key) for key in customers.answers}
    assert {answer.status_code for answer in again.values()} == {202}
    ids = {key: answer.json()["id"] for key, answer in again.items()}
    assert len(set(ids.values())) == len(customers.answers)
    for key, answer in customers.answers.items():
        assert answer.status_code == 503 or answer.json()["id"] == ids[key], "what was accepted is still there"
    for payment_id in ids.values():
        shop.until(payment_id, "settled")
    spent = 10 * len(ids)
    assert shop.balances(wallet) == (100_000 - spent, 100_000 - spent)
    assert rialto.service_pids() == services, "no service was restarted"


def test_a_frozen_postgres_gets_no_payment_accepted_and_they_all_end_as_one(rialto: Rialto, shop: Shop) -> None:
    wallet = shop.wallet(1_000)
    shop.until(shop.pay(wallet, 10), "settled")
    services = rialto.service_pids()
    keys = [new_name("frozen") for _ in range(8)]
    with ThreadPoolExecutor(len(keys)) as pool:
        with rialto.frozen("postgres"):
            sent = [pool.submit(shop.offer, wallet, 10, key) for key in keys]

            def waiting() -> bool:
                return httpx.get(f"{rialto.url}/readyz", timeout=30).status_code == 503

            eventually(waiting, "the gateway says that it is not ready")
            # Each still waits for its commit, or has been told to come again.
            assert all(is_unavailable(each.result()) for each in sent if each.done())
        answers = [each.result() for each in sent]
    assert all(answer.status_code == 202 or is_unavailable(answer) for answer in answers)
    ids = {shop.offer(wallet, 10, key).json()["id"] for key in keys}
    assert len(ids) == len(keys)
    for answer in answers:
        assert answer.status_code == 503 or answer.json()["id"] in ids
    for payment_id in ids:
        shop.until(payment_id, "settled")
    assert shop.balances(wallet) == (910, 910)
    assert rialto.service_pids() == services, "no service was restarted"


def test_the_books_hold_after_the_outage(rialto: Rialto) -> None:
    rialto.check_books()
