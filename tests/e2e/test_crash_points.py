"""A second worker of each service dies at a chosen place in its code: others take its work over, nothing is done twice.

Only a handful of places so far, two for each service. `crash_points()` lists all that the code has.
"""

import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from rialto_cli.embedded import services
from rialto_cli.embedded.processes import free_ports

from .chain import TOKEN_UNITS_PER_CENT, Chain, Paid
from .running import Rialto, eventually
from .shop import Shop, uuid_of

PARTITIONS = 4

BEFORE_THE_COMMIT = {
    "gateway": "gateway.before_commit",
    "fraud": "fraud.before_commit",
    "compliance": "compliance.before_commit",
    "ledger": "ledger.before_commit",
    "chain-bridge": "chain_bridge.after_send",
}
AFTER_THE_COMMIT = {
    "gateway": "gateway.before_acknowledge",
    "fraud": "fraud.after_commit",
    "compliance": "compliance.before_acknowledge",
    "ledger": "ledger.after_commit",
    "chain-bridge": "chain_bridge.after_record",
}


def crash_points() -> set[str]:
    """Every crash point in the code; where the name has the service's in it, once for each service."""
    root = Path(__file__).parents[2]
    found = set()
    for file in [*root.glob("libs/common/rialto_common/**/*.py"), *root.glob("services/*/rialto_*/**/*.py")]:
        for formatted, name in re.findall(r'\.crash_point\((f?)"([^"]+)"\)', file.read_text()):
            if not formatted:
                found.add(name)
                continue
            for service in services.SERVICES:
                found.add(re.sub(r"\{[^}]*\}", service.replace("-", "_"), name))
    return found


@contextmanager
def doomed(rialto: Rialto, name: str, crash_point: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A second process of a service, as the supervisor starts the first, that kills itself at the crash point."""
    program = services.program(rialto.installation, name)
    environment = {
        **program.environment,
        **rialto.environment,
        f"RIALTO_{name.replace('-', '_').upper()}_HTTP_PORT": str(free_ports(1)[0]),
        "RIALTO_CRASH_POINT": crash_point,
    }
    with (rialto.data_dir.parent / f"{crash_point}.log").open("wb") as log:
        process = subprocess.Popen(
            [*map(str, program.command)],
            env=environment,
            cwd=program.working_directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def have_work(rialto: Rialto, workers: Mapping[str, "subprocess.Popen[bytes]"]) -> bool:
    """Whether each of these processes holds partitions of its group by now."""
    owners = {row["owner"] for row in rialto.rows("SELECT DISTINCT owner FROM bus.cursors WHERE owner IS NOT NULL")}
    groups = {name: name.replace("-", "_") for name in workers}
    return all(
        any(owner.startswith(f"{groups[name]}-{process.pid}-") for owner in owners) or process.poll() is not None
        for name, process in workers.items()
    )


def end_leases(rialto: Rialto, worker: "subprocess.Popen[bytes]") -> None:
    """Let others take a dead worker's partitions at once; ten seconds are waited out in test_kill_everything.py."""
    member = f"%-{worker.pid}-%"
    with rialto.superuser() as connection:
        connection.execute("UPDATE bus.members SET alive_until = '2000-01-01Z' WHERE member LIKE %s", [member])
        connection.execute("UPDATE bus.cursors SET owned_until = '2000-01-01Z' WHERE owner LIKE %s", [member])


@contextmanager
def shops_of_every_partition(rialto: Rialto) -> Iterator[list[tuple[Shop, str]]]:
    """Merchants whose events lie in every partition of the bus, each with a wallet."""
    with ExitStack() as stack:
        opened: dict[int, Shop] = {}
        while len(opened) < PARTITIONS:
            shop = stack.enter_context(Shop(rialto))
            opened.setdefault(shop.shard % PARTITIONS, shop)
        yield [(shop, shop.wallet(1_000_000)) for shop in opened.values()]


@pytest.mark.parametrize("points", [BEFORE_THE_COMMIT, AFTER_THE_COMMIT], ids=["before_the_commit", "after_the_commit"])
def test_a_worker_of_each_service_dies_in_the_middle_of_its_work(rialto: Rialto, points: dict[str, str]) -> None:
    assert set(points) == set(services.SERVICES)
    assert set(points.values()) <= crash_points()
    before = rialto.service_pids()
    paid: list[tuple[Shop, str, str]] = []
    with ExitStack() as stack:
        shops = stack.enter_context(shops_of_every_partition(rialto))
        workers = {name: stack.enter_context(doomed(rialto, name, point)) for name, point in points.items()}
        eventually(lambda: have_work(rialto, workers), "the second workers have their share of the work")

        living = dict(workers)

        def all_dead() -> bool:
            for name in [name for name, worker in living.items() if worker.poll() is not None]:
                end_leases(rialto, living.pop(name))
            if not living:
                return True
            # Who of two workers does what is not ours to say, so there is work until each has met its end.
            paid.extend((shop, wallet, shop.pay(wallet, 100)) for shop, wallet in shops)
            return False

        eventually(all_dead, f"each has come to its crash point: {points}")
        assert {name: worker.returncode for name, worker in workers.items()} == dict.fromkeys(points, -signal.SIGKILL)
        chain = Chain(rialto)
        for shop, _, payment_id in paid:
            payment = shop.until(payment_id, "settled")
            settlement = payment["settlement"]
            units = 100 * TOKEN_UNITS_PER_CENT
            assert chain.paid(uuid_of(payment_id)) == [
                Paid(uuid_of(payment_id), shop.address, units, settlement["tx_hash"], settlement["block_number"])
            ]
        for shop, wallet in shops:
            left = 1_000_000 - 100 * sum(charged == wallet for _, charged, _ in paid)
            assert shop.balances(wallet) == (left, left)
    assert rialto.service_pids() == before, "the first workers have lived through it"


def test_the_books_hold_after_the_crashes(rialto: Rialto) -> None:
    rialto.check_books()
