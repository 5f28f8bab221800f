"""The books as a table for people."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rialto_cli.audit.book import INVARIANTS, Book, Books

SHOWN = 5


def render(books: Books, console: Console) -> None:
    """Print the books, and the first violations by name."""
    table = Table("", "what it says", "checked", "violated", "", title="The books", title_justify="left")
    for column in (2, 3):
        table.columns[column].justify = "right"
    for name, book in books:
        table.add_row(name, INVARIANTS[name], f"{book.checked:,}", f"{book.violations:,}", _verdict(book))
    console.print(table)
    console.print(_bus(books["I8"].details.get("bus", {})), markup=False)
    for name, book in books:
        _violations(name, book, console)
    if books.hold:
        console.print("[bold green]Every check holds.[/]")


def _bus(bus: dict[str, Any]) -> str:
    if bus.get("kind") != "kafka":
        return "The bus: the log in PostgreSQL."
    records = bus["records"]
    prefix = f" under the prefix {bus['prefix']}" if bus["prefix"] else ""
    return f"The bus: Kafka at {bus['servers']}{prefix}, {sum(records.values()):,} records in {len(records)} topics."


def _verdict(book: Book) -> str:
    if book.violations:
        return "[red]violated[/]"
    return "[green]holds[/]" if book.checked else "[red]nothing checked[/]"


def _violations(name: str, book: Book, console: Console) -> None:
    for check, count in book.by_check.items():
        shown = [example for example in book.examples if example["check"] == check]
        console.print(f"[red]{name} {check}[/], {count:,} times: {escape(shown[0]['what']) if shown else ''}")
        for example in shown[:SHOWN]:
            ids = ", ".join(f"{key} {value}" for key, value in example["ids"].items())
            console.print(f"  {escape(ids)}: expected {escape(example['expected'])}, found {escape(example['found'])}")
        if count > SHOWN:
            console.print(f"  and {count - min(SHOWN, len(shown)):,} more")
