"""A run as a person reads it: its timeline, drawn and listed, and what came of it."""

from rich.console import Console
from rich.table import Table

from rialto_cli.torture.book import Book
from rialto_cli.torture.diary import Diary, Entry, per_second

BARS = " ▁▂▃▄▅▆▇█"
PLAIN_BARS = " .:-=+*#@"
SIGNS = {
    "kill": "K",
    "pause": "P",
    "cut": "x",
    "refuse": "r",
    "delay": "d",
    "throttle": "t",
    "blackhole": "b",
    "clock": "C",
    "repeat": "2",
    "late": "L",
}
WIDEST = 120
MOST_WRONG = 20


def render(diary: Diary, book: Book, console: Console) -> None:
    """Print a run."""
    plain = not console.encoding.lower().startswith("utf")
    console.print(_table(diary))
    console.print()
    for line in drawn(diary, book, width=min(WIDEST, console.width - 2), bars=PLAIN_BARS if plain else BARS):
        console.print(line, markup=False)
    console.print()
    _outcome(diary, book, console)


def _table(diary: Diary) -> Table:
    table = Table("at", "fault", "target", "for", "what it did", "recovered", box=None, pad_edge=False)
    for entry in sorted(diary.entries, key=lambda entry: entry.began):
        table.add_row(
            f"{entry.began:.1f} s",
            entry.fault.kind,
            entry.fault.target,
            f"{entry.fault.seconds:.1f} s" if entry.fault.seconds else "",
            entry.effect,
            "" if entry.recovered_seconds is None else f"{entry.recovered_seconds:.1f} s",
        )
    return table


def drawn(diary: Diary, book: Book, *, width: int, bars: str = BARS) -> list[str]:
    """Return payments accepted a second as a row of bars, below it the faults where they began."""
    counts = per_second(book.accepted_at, diary.seconds)
    step = max(1, -(-len(counts) // width))
    rates = [
        sum(counts[start : start + step]) / len(counts[start : start + step]) for start in range(0, len(counts), step)
    ]
    most = max(rates, default=0.0) or 1.0
    line = "".join(bars[0 if rate == 0 else 1 + int((len(bars) - 2) * rate / most)] for rate in rates)
    below = [" "] * len(rates)
    for entry in diary.entries:
        place = min(len(below) - 1, int(entry.began) // step)
        below[place] = SIGNS[entry.fault.kind] if below[place] == " " else "*"
    signs = "  ".join(f"{sign} {kind}" for kind, sign in SIGNS.items())
    return [
        f"payments accepted a second, at most {most:.1f}; one column is {step} s",
        line,
        "".join(below),
        f"{signs}  * several",
    ]


def _outcome(diary: Diary, book: Book, console: Console) -> None:
    recovered = sorted(seconds for entry in diary.entries if (seconds := entry.recovered_seconds) is not None)
    middle = f"{recovered[len(recovered) // 2]:.1f} s" if recovered else "none seen"
    longest = f", at most {recovered[-1]:.1f} s" if recovered else ""
    states = ", ".join(f"{count} {state}" for state, count in sorted(diary.states.items(), key=lambda item: -item[1]))
    booked = sum(made.succeeded for made in book.captures.values())
    console.print(f"{len(diary.entries)} faults in {diary.seconds:.0f} s; median recovery {middle}{longest}")
    console.print(f"{len(book.accepted)} payments accepted: {states}")
    console.print(
        f"{len(book.captures)} captures answered ({booked} booked), {len(book.voids)} voids, "
        f"{sum(book.webhooks.values())} webhooks taken, {book.repeats} calls repeated"
    )
    console.print(f"everything at rest {diary.drained_seconds:.1f} s after the last client's answer")
    for wrong in diary.wrong[:MOST_WRONG]:
        console.print(f"[red]✗[/red] {wrong}" if console.encoding.lower().startswith("utf") else f"! {wrong}")
    if diary.wrong:
        console.print(f"[red]{len(diary.wrong)} promises broken.[/red] The same again: {diary.repeat}")
        console.print(f"Its logs and its data: {diary.folder}", markup=False)
    else:
        console.print(f"[green]Every promise held.[/green] I1-I8 hold, and the clients' own book. Seed {diary.seed}")


def line_of(entry: Entry) -> str:
    """One fault as it is told while the run goes on."""
    return f"{entry.began:6.1f} s  {entry.fault.kind:<9} {entry.fault.target:<22} {entry.effect}"
