"""One run: a platform of its own, customers, a schedule of faults; then rest, the audit, and the clients' own book."""

import asyncio
import secrets
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rialto_cli.audit import books, bus_url
from rialto_cli.audit.book import Book as AuditBook
from rialto_cli.console import Progress
from rialto_cli.embedded import directory, services
from rialto_cli.embedded.bus import KAFKA, BusChoice
from rialto_cli.embedded.postgres import AUDITOR
from rialto_cli.embedded.processes import free_ports
from rialto_cli.embedded.services import ANVIL, Installation
from rialto_cli.embedded.state import State
from rialto_cli.replay.api import Api
from rialto_cli.torture import verdict
from rialto_cli.torture.again import Events, KafkaCopies, PostgresLog
from rialto_cli.torture.book import Book
from rialto_cli.torture.breaking import Breaker
from rialto_cli.torture.control import Control
from rialto_cli.torture.customers import Customers, Receiver
from rialto_cli.torture.diary import Diary, Entry
from rialto_cli.torture.proxy import Proxy
from rialto_cli.torture.render import line_of
from rialto_cli.torture.schedule import links, schedule
from rialto_cli.torture.stage import Stage
from rialto_common.faults import FAULTS_DIR_VARIABLE

MERCHANTS, WALLETS, CLIENTS = 5, 6, 8
PAUSE_SECONDS = 0.4
BEAT_SECONDS = 0.4
PATIENCE_SECONDS = 240.0
DRAIN_SECONDS = 240.0
AUDIT_SETTLE_SECONDS = 30.0
# Short enough that silence is seen within a run, and what comes of it.
DEADLINES = {
    "RIALTO_GATEWAY_ASSESSMENT_DEADLINE_SECONDS": "10",
    "RIALTO_GATEWAY_LEDGER_DEADLINE_SECONDS": "15",
}


@dataclass(frozen=True, slots=True)
class Options:
    """What the person at the terminal chose. `data_dir` None: a temporary one, removed when nothing was wrong."""

    minutes: float
    seed: int
    bus: str
    data_dir: Path | None = None

    @property
    def repeat(self) -> str:
        """The command that does the same again."""
        return f"rialto torture --minutes {self.minutes:g} --seed {self.seed} --bus {self.bus}"


def new_seed() -> int:
    """Return a seed for who has none, short enough to be read out."""
    return secrets.randbelow(1_000_000)


async def torture(options: Options, progress: Progress) -> tuple[Diary, Book]:
    """Do a run and return what it was and what the clients saw.

    Raises: OperatorError: the platform does not start, or does not come back.
    """
    diary, book = Diary(options.seed, options.minutes, options.bus, options.repeat), Book()
    with _folder(options, diary) as root:
        stage, control, proxies = _set_up(root, options)
        async with AsyncExitStack() as stack:
            for proxy in proxies.values():
                await proxy.open()
                stack.push_async_callback(proxy.close)
            stack.push_async_callback(stage.stop)
            progress.waiting("starting a platform")
            await stage.start()
            installation = stage.installation
            api = Api(installation.url("gateway"), patience_seconds=PATIENCE_SECONDS, connections=256)
            await stack.enter_async_context(api)
            customers = Customers(api, book, installation.secrets.gateway_admin_key, seed=options.seed, tag="torture")
            await stack.enter_async_context(_open_shops(customers, book))
            breaker = Breaker(stage, control, proxies, _events(installation), book, diary)
            await _hurt(breaker, stage, customers, options, diary, progress)
            await _judge(installation, customers, book, diary, progress)
            book.repeats = api.repeats
        progress.idle()
    return diary, book


@contextmanager
def _folder(options: Options, diary: Diary) -> Iterator[Path]:
    """The run's folder. It stays where something was wrong: its logs are what there is to find out why."""
    path = options.data_dir or Path(tempfile.mkdtemp(prefix="rialto-torture-"))
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o755)  # PostgreSQL may run under another account, and must come through
    diary.folder = path
    yield path
    if options.data_dir is None and not diary.wrong:
        shutil.rmtree(path, ignore_errors=True)
        diary.folder = None


def _set_up(root: Path, options: Options) -> tuple[Stage, Control, dict[str, Proxy]]:
    """Choose every port beforehand: the proxies listen before what they lead to runs."""
    data_dir, control = root / "data", Control(root / "faults")
    data_dir.mkdir(exist_ok=True)
    state = State.load(data_dir)
    [public] = free_ports(1)
    state.ports |= directory.choose_ports(state.ports, public, services.port_names(BusChoice(options.bus)))
    state.save(data_dir)
    ways = links(options.bus)
    detour, *ports = free_ports(1 + len(ways), taken=state.ports.values())
    behind = state.ports | {KAFKA: detour}
    proxies = {way: Proxy(behind[way.partition(":")[2]], port) for way, port in zip(ways, ports, strict=True)}
    through = {way: proxy.port for way, proxy in proxies.items()}
    if options.bus == KAFKA:
        through[services.KAFKA_DETOUR] = detour
    stage = Stage(
        data_dir,
        port=public,
        bus=options.bus,
        environment={**DEADLINES, FAULTS_DIR_VARIABLE: str(control.directory)},
        through=through,
    )
    return stage, control, proxies


def _events(installation: Installation) -> Events:
    superuser_dsn = installation.access.superuser_dsn("rialto")
    return KafkaCopies(superuser_dsn) if installation.bus.kind == KAFKA else PostgresLog(superuser_dsn)


@asynccontextmanager
async def _open_shops(customers: Customers, book: Book) -> AsyncIterator[None]:
    receiver = Receiver(book, customers.draw)
    await receiver.open()
    try:
        await customers.open(MERCHANTS, WALLETS, receiver.url)
        yield
    finally:
        await receiver.close()


async def _hurt(
    breaker: Breaker, stage: Stage, customers: Customers, options: Options, diary: Diary, progress: Progress
) -> None:
    """Trade for as long as the run lasts while the schedule is followed; returns when every client has its answer."""
    seconds = options.minutes * 60

    def note(entry: Entry) -> None:
        progress.note(line_of(entry))

    stop = asyncio.Event()
    customers.start_clock()
    breaker.start_clock()
    dsn = stage.installation.access.dsn(AUDITOR)
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(breaker.watch_settlements(dsn))
        supervising = group.create_task(breaker.keep_supervised())
        trading = group.create_task(customers.trade(stop, clients=CLIENTS, pause_seconds=PAUSE_SECONDS))
        beating = group.create_task(customers.pulse(stop, every_seconds=BEAT_SECONDS))
        following = group.create_task(breaker.follow(schedule(options.seed, seconds, options.bus), note))
        await asyncio.sleep(seconds)
        await following
        diary.seconds = breaker.seconds()
        stop.set()
        progress.waiting("waiting for every client's answer")
        await asyncio.gather(trading, beating)
        await stage.wait_until_ready()
        supervising.cancel()
        watching.cancel()


async def _judge(
    installation: Installation, customers: Customers, book: Book, diary: Diary, progress: Progress
) -> None:
    """Let everything come to rest, then hold all books against each other."""
    dsn, rpc = installation.access.dsn(AUDITOR), installation.url(ANVIL)
    progress.waiting("letting every payment come to its end")
    began = time.monotonic()
    left = await verdict.drain(customers, dsn, timeout_seconds=DRAIN_SECONDS)
    diary.drained_seconds = time.monotonic() - began
    if left:
        diary.wrong.append(f"payments have not ended {DRAIN_SECONDS:.0f} s after the last fault: {left}")
    await customers.confirm_captures()
    progress.waiting("auditing")
    cluster = bus_url.of(installation)
    found = await asyncio.to_thread(books.run, dsn, rpc, cluster=cluster, settle_seconds=AUDIT_SETTLE_SECONDS)
    facts = await asyncio.to_thread(verdict.read, dsn, rpc)
    diary.states = dict(Counter(payment.state for payment in facts.payments))
    diary.books = found.to_dict()
    diary.wrong += [f"{name}: {says}" for name, book_of in found if not book_of.holds for says in _broken(book_of)]
    diary.wrong += verdict.weigh(book, facts)


def _broken(book: AuditBook) -> list[str]:
    """A sentence for each check of the audit that found something."""
    if not book.violations:
        return ["nothing was there to be checked"]
    return [f"{check}: {count} times" for check, count in book.by_check.items()]
