"""A small world of wallets and terminals with known fraud, made from one seed.

It is our own: no public data set is copied or imitated row by row. What it has to teach the model is written in
``docs/models/fraud-v1.md``. Honest wallets differ in how much, how often, when and where they pay; some pay in
batches of hundreds (a platform paying its suppliers), some make a rare large purchase, some travel. Five kinds of
fraud are laid over them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

SECONDS_PER_DAY: Final = 86_400
FIRST_DAY: Final = 18_262
"""Days since the epoch: 2020-01-01."""

NEWCOMERS: Final = 10_000_000
STRANGERS: Final = 20_000_000
ERRATIC: Final = 30_000_000
CROWDS: Final = 40_000_000
"""Where the numbers of wallets begin that come for one day; strangers hold stolen money, the others are honest."""

PATTERNS: Final = (
    "honest",
    "stolen_wallet_burst",
    "compromised_terminal",
    "single_high_amount",
    "slow_takeover",
    "card_testing",
)


@dataclass(frozen=True, slots=True)
class WorldConfig:
    """The size of the world. Rates are per day; shares are of the honest wallets."""

    seed: int
    wallets: int = 3_000
    terminals: int = 2_000
    days: int = 60
    batch_payer_share: float = 0.02
    newcomers_per_day: float = 120.0
    erratic_newcomers_per_day: float = 12.0
    crowds_per_day: float = 1.5
    large_purchase_rate: float = 0.0008
    stolen_wallets_per_day: float = 2.0
    compromised_terminals_per_day: float = 0.5
    high_amounts_per_day: float = 12.0
    takeovers_per_day: float = 3.0
    card_tests_per_day: float = 0.4


@dataclass(frozen=True, slots=True)
class World:
    """Payments in order of time; column i of each array is payment i. ``pattern`` indexes PATTERNS, 0 is honest."""

    at: npt.NDArray[np.int64]
    amount_cents: npt.NDArray[np.int64]
    wallet: npt.NDArray[np.int64]
    terminal: npt.NDArray[np.int64]
    """-1 where the payment names no terminal."""
    pattern: npt.NDArray[np.int8]

    def day(self) -> npt.NDArray[np.int64]:
        """Return each payment's day, counted from the first of the world."""
        return self.at // SECONDS_PER_DAY - FIRST_DAY


class _Builder:
    def __init__(self, config: WorldConfig) -> None:
        self.config = config
        self.rng = rng = np.random.default_rng(config.seed)
        n = config.wallets
        self.usual = np.exp(rng.normal(np.log(38.0), 0.65, n))
        self.spread = rng.uniform(0.25, 0.6, n)
        self.rate = np.minimum(rng.gamma(1.3, 1.4, n) + 0.05, 10.0)
        self.joined = np.where(rng.random(n) < 0.4, rng.integers(0, max(1, config.days - 2), n), 0)
        self.peak = rng.normal(14.0, 2.5, n)
        self.places = [rng.integers(0, config.terminals, int(rng.integers(2, 80))) for _ in range(n)]
        self.roams = rng.beta(1.0, 5.0, n)
        self.online = rng.random(n) < 0.15
        self.terminal_level = np.exp(rng.normal(0.0, 0.35, config.terminals))
        self.columns: list[tuple[npt.NDArray[np.int64], ...]] = []

    def add(
        self,
        at: npt.NDArray[np.float64],
        amount: npt.NDArray[np.float64],
        wallet: npt.NDArray[np.int64],
        terminal: npt.NDArray[np.int64],
        pattern: int,
    ) -> None:
        cents = np.maximum(np.round(amount * 100), 50).astype(np.int64)
        self.columns.append((at.astype(np.int64), cents, wallet, terminal, np.full(len(at), pattern, dtype=np.int64)))

    def amounts(self, wallet: npt.NDArray[np.int64], terminal: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Draw usual amounts: half the habit of the wallet around its mean, and half the level of the terminal."""
        rng = self.rng
        level = np.where(terminal >= 0, self.terminal_level[terminal], 1.0)
        log_normal = np.exp(rng.normal(0.0, self.spread[wallet]))
        bell = np.abs(rng.normal(1.0, 0.5, len(wallet)))
        return np.asarray(self.usual[wallet] * np.where(wallet % 2 == 0, log_normal, bell) * np.sqrt(level))

    def choose_terminals(self, wallet: npt.NDArray[np.int64], travelling: bool) -> npt.NDArray[np.int64]:
        rng = self.rng
        picks = np.array(
            [
                self.places[w][int(len(self.places[w]) * u)]
                for w, u in zip(wallet, rng.random(len(wallet)), strict=True)
            ],
            dtype=np.int64,
        )
        away = rng.random(len(wallet)) < (0.9 if travelling else self.roams[wallet])
        picks = np.where(away, rng.integers(0, self.config.terminals, len(wallet)), picks)
        return np.where(self.online[wallet] & (rng.random(len(wallet)) < 0.7), -1, picks)

    def midnight(self, day: int) -> int:
        return (FIRST_DAY + day) * SECONDS_PER_DAY

    def honest_day(self, day: int) -> None:
        rng = self.rng
        factor = 1.2 if (FIRST_DAY + day + 3) % 7 >= 5 else 0.95
        alive = self.joined <= day
        counts = rng.poisson(self.rate * factor * alive)
        wallet = np.repeat(np.arange(len(counts)), counts)
        hour = (rng.normal(self.peak[wallet], 4.0) % 24.0) * 3_600
        terminal = self.choose_terminals(wallet, travelling=day % 9 == 4 and bool(rng.random() < 0.2))
        amount = self.amounts(wallet, terminal)
        large = rng.random(len(wallet)) < self.config.large_purchase_rate
        amount = np.where(large, amount * rng.uniform(3.0, 8.0, len(wallet)), amount)
        self.add(self.midnight(day) + hour, amount, wallet, terminal, 0)
        self.newcomers(day)
        self.batch_payers(day)
        self.erratic_newcomers(day)
        self.crowds(day)

    def newcomers(self, day: int) -> None:
        """Let people open a wallet for one purchase, large ones too: a first payment is unusual against nothing."""
        rng, config = self.rng, self.config
        size = int(rng.poisson(config.newcomers_per_day))
        wallet = NEWCOMERS + day * 10_000 + np.arange(size)
        amount = np.exp(rng.normal(np.log(90.0), 1.0, size)).clip(1.0, 3_000.0)
        amount = np.where(rng.random(size) < 0.08, rng.uniform(200.0, 3_000.0, size), amount)
        terminal = np.where(rng.random(size) < 0.4, -1, rng.integers(0, config.terminals, size))
        self.add(self.midnight(day) + rng.uniform(0, 24, size) * 3_600, amount, wallet, terminal, 0)

    def batch_payers(self, day: int) -> None:
        """Let a few wallets pay tens or hundreds of times within an hour, usual amounts, also on their first day."""
        rng, config = self.rng, self.config
        payers = max(1, int(config.wallets * config.batch_payer_share))
        for index in range(payers):
            if rng.random() > 0.12:
                continue
            size = int(np.exp(rng.uniform(np.log(10), np.log(400))))
            fresh = rng.random() < 0.5
            # Half of the batches come from wallets that nobody has seen before: a new integration pays at once.
            wallet = np.full(size, config.wallets + 1 + day * payers + index if fresh else index, dtype=np.int64)
            start = self.midnight(day) + rng.uniform(0, 22) * 3_600
            at = np.sort(start + rng.uniform(0, rng.choice([60.0, 900.0, 3_600.0]), size))
            centre = float(np.exp(rng.uniform(np.log(5), np.log(220))))
            amount = centre * np.abs(rng.normal(1.0, rng.choice([0.0, 0.1, 0.5]), size)) + 1.0
            kind = rng.random()
            if kind < 0.4:
                terminal = np.full(size, -1, dtype=np.int64)
            elif kind < 0.7:
                terminal = np.full(size, int(rng.integers(0, config.terminals)), dtype=np.int64)
            else:
                terminal = rng.integers(0, config.terminals, size)
            self.add(at, amount, wallet, terminal, 0)

    def erratic_newcomers(self, day: int) -> None:
        """Let new wallets try the platform out: a few or many payments in minutes, any small or middling amount."""
        rng, config = self.rng, self.config
        for index in range(int(rng.poisson(config.erratic_newcomers_per_day))):
            size = int(np.exp(rng.uniform(np.log(2), np.log(60))))
            at = (
                self.midnight(day) + rng.uniform(0, 22) * 3_600 + np.sort(rng.uniform(0, rng.choice([60, 3_600]), size))
            )
            amount = np.exp(rng.uniform(np.log(1.0), np.log(400.0), size))
            wallet = np.full(size, ERRATIC + day * 10_000 + index, dtype=np.int64)
            terminal = rng.integers(0, config.terminals, size) if rng.random() < 0.5 else np.full(size, -1)
            self.add(at, amount, wallet, terminal.astype(np.int64), 0)

    def crowds(self, day: int) -> None:
        """Let a stadium's gate or a shop's opening take hundreds of payments in minutes, half from new wallets."""
        rng, config = self.rng, self.config
        for index in range(int(rng.poisson(config.crowds_per_day))):
            size = int(np.exp(rng.uniform(np.log(40), np.log(600))))
            at = (
                self.midnight(day) + rng.uniform(0, 22) * 3_600 + np.sort(rng.uniform(0, rng.choice([60, 3_600]), size))
            )
            fresh = CROWDS + day * 100_000 + index * 5_000 + rng.integers(0, size, size)
            wallet = np.where(rng.random(size) < 0.5, fresh, rng.integers(0, config.wallets, size))
            amount = np.exp(rng.uniform(np.log(3.0), np.log(120.0))) * np.exp(rng.normal(0.0, 0.5, size))
            place = int(rng.integers(0, config.terminals))
            self.add(at, amount, wallet, np.full(size, place, dtype=np.int64), 0)

    def stolen_wallets(self, day: int) -> None:
        rng = self.rng
        for _ in range(int(rng.poisson(self.config.stolen_wallets_per_day))):
            victim = int(rng.integers(0, self.config.wallets))
            size = int(rng.integers(3, 14))
            hour = rng.uniform(0, 6) if rng.random() < 0.5 else rng.uniform(6, 22)
            at = np.sort(self.midnight(day) + hour * 3_600 + rng.uniform(0, rng.uniform(900, 7_200), size))
            amount = self.usual[victim] * rng.uniform(2.5, 9.0) * np.exp(rng.normal(0, 0.3, size)) + 60.0
            terminal = rng.integers(0, self.config.terminals, size)
            self.add(at, amount, np.full(size, victim, dtype=np.int64), terminal, 1)

    def compromised_terminals(self, day: int) -> None:
        rng, config = self.rng, self.config
        for _ in range(int(rng.poisson(config.compromised_terminals_per_day))):
            place = int(rng.integers(0, config.terminals))
            for later in range(day, min(day + int(rng.integers(2, 8)), config.days)):
                size = int(rng.integers(3, 15))
                victims = rng.integers(0, config.wallets, size)
                at = self.midnight(later) + rng.uniform(0, 24, size) * 3_600
                amount = 45.0 * self.terminal_level[place] * rng.uniform(3.0, 7.0, size) + 80.0
                self.add(at, amount, victims, np.full(size, place, dtype=np.int64), 2)

    def high_amounts(self, day: int) -> None:
        rng, config = self.rng, self.config
        size = int(rng.poisson(config.high_amounts_per_day))
        victims = rng.integers(0, config.wallets, size)
        # Some of them on wallets that have no history at all.
        stranger = rng.random(size) < 0.4
        victims = np.where(stranger, STRANGERS + day * 10_000 + np.arange(size), victims)
        usual = self.usual[victims % config.wallets]
        amount = usual * np.exp(rng.uniform(np.log(5), np.log(60), size)) + 60.0
        amount = np.where(stranger, np.exp(rng.uniform(np.log(2_500), np.log(80_000), size)), amount)
        at = self.midnight(day) + rng.uniform(0, 24, size) * 3_600
        terminal = np.where(rng.random(size) < 0.3, -1, rng.integers(0, config.terminals, size))
        self.add(at, amount, victims, terminal, 3)

    def takeovers(self, day: int) -> None:
        rng, config = self.rng, self.config
        for _ in range(int(rng.poisson(config.takeovers_per_day))):
            victim = int(rng.integers(0, config.wallets))
            length = min(int(rng.integers(5, 15)), config.days - day)
            size = max(1, int(rng.poisson(max(0.5, self.rate[victim] * 0.4) * length)))
            at = self.midnight(day) + rng.uniform(0, length * 24, size) * 3_600
            wallet = np.full(size, victim, dtype=np.int64)
            terminal = self.choose_terminals(wallet, travelling=False)
            amount = self.amounts(wallet, terminal) * rng.uniform(3.5, 6.0, size) + 30.0
            self.add(at, amount, wallet, terminal, 4)

    def card_tests(self, day: int) -> None:
        """Let thieves try many known wallets at one terminal within minutes, a little money each."""
        rng, config = self.rng, self.config
        for _ in range(int(rng.poisson(config.card_tests_per_day))):
            size = int(rng.integers(15, 60))
            victims = rng.integers(0, config.wallets, size)
            place = int(rng.integers(0, config.terminals))
            at = np.sort(self.midnight(day) + rng.uniform(0, 5) * 3_600 + rng.uniform(0, 1_200, size))
            self.add(at, rng.uniform(0.5, 3.0, size), victims, np.full(size, place, dtype=np.int64), 5)

    def build(self) -> World:
        for day in range(self.config.days):
            self.honest_day(day)
            self.stolen_wallets(day)
            self.compromised_terminals(day)
            self.high_amounts(day)
            self.takeovers(day)
            self.card_tests(day)
        at, cents, wallet, terminal, pattern = (np.concatenate(column) for column in zip(*self.columns, strict=True))
        order = np.argsort(at, kind="stable")
        return World(at[order], cents[order], wallet[order], terminal[order], pattern[order].astype(np.int8))


def simulate(config: WorldConfig) -> World:
    """Return the world of a configuration; the same seed gives the same world."""
    return _Builder(config).build()
