"""One look at the database: every question sees the same instant, and nothing can be written."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import TracebackType
from typing import Any, Literal, cast

import psycopg
from psycopg.rows import dict_row

from rialto_cli.audit.text_ids import expand

MAX_EXAMPLES = 20
PIECE_BYTES = 1024 * 1024

Kind = Literal["check", "count", "facts", "fragment"]
_NUMBER = re.compile(r"number_in\(([a-z.]+), '([a-z_]+)'\)")
_HEADER = re.compile(r"^-- (check|count|facts|fragment): (.+)$", re.MULTILINE)
# Without nested loops: the planner expects one row of the parameters' join with the log, and then reads the journal
# and the log once for each of a day's 50,000 (more than 9 minutes against 7 seconds for 9,502 payments).
_SESSION = "-c timezone=UTC -c jit=off -c work_mem=64MB -c enable_nestloop=off -c application_name=rialto-audit"


@dataclass(frozen=True, slots=True)
class Question:
    """One block of queries.sql. `heals`: a violation may mend itself within seconds, and why."""

    kind: Kind
    invariant: str
    name: str
    says: str
    uses: tuple[str, ...]
    heals: str | None
    sql: str


@dataclass(frozen=True, slots=True)
class Found:
    """The violations that one question found: how many, and the first few."""

    total: int
    rows: list[dict[str, Any]]


@cache
def questions() -> tuple[Question, ...]:
    """Read queries.sql."""
    text = resources.files(__package__ or "rialto_cli.audit").joinpath("queries.sql").read_text()
    heads = list(_HEADER.finditer(text))
    ends = [*(head.start() for head in heads[1:]), len(text)]
    return tuple(
        _question(cast(Kind, head[1]), head[2], text[head.end() : end]) for head, end in zip(heads, ends, strict=True)
    )


def _question(kind: Kind, title: str, body: str) -> Question:
    lines = body.strip().splitlines()
    comments = []
    while lines[0].startswith("-- "):
        comments.append(lines.pop(0).removeprefix("-- "))
    marked = {}
    for mark in ("uses", "heals"):
        for comment in comments:
            if comment.startswith(f"{mark}: "):
                marked[mark] = comment.removeprefix(f"{mark}: ")
    prose = [comment for comment in comments if not comment.startswith(("uses: ", "heals: "))]
    invariant, _, name = title.partition(" ") if kind in ("check", "count") else ("", "", title)
    uses = tuple(marked.get("uses", "").split())
    return Question(kind, invariant, name, prose[0] if prose else "", uses, marked.get("heals"), "\n".join(lines))


class Snapshot:
    """A read-only transaction at one instant."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._parameters: dict[str, Any] = {}

    def __enter__(self) -> "Snapshot":
        self._connection = self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def _open(self) -> psycopg.Connection[dict[str, Any]]:
        connection = psycopg.connect(self._dsn, row_factory=dict_row, connect_timeout=10, options=_SESSION)
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        return connection

    def use(self, parameters: Mapping[str, Any]) -> None:
        """Set the parameters of all questions."""
        self._parameters.update(parameters)

    def facts(self, name: str) -> list[dict[str, Any]]:
        """Return the rows of a `facts` question."""
        [question] = [each for each in questions() if each.kind == "facts" and each.name == name]
        return self._ask(_with_fragments(question, question.sql))

    def ask(self, name: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the rows of a `facts` question with parameters of its own."""
        self.use(parameters)
        return self.facts(name)

    def copy(self, name: str, parameters: Mapping[str, Any]) -> Iterator[bytes]:
        """Return the rows of a `facts` question as a binary COPY, in pieces of about PIECE_BYTES."""
        [question] = [each for each in questions() if each.kind == "facts" and each.name == name]
        query = f"COPY ({_with_fragments(question, question.sql)}) TO STDOUT (FORMAT binary)"
        with (
            psycopg.ClientCursor(self._connection) as cursor,
            cursor.copy(query.encode(), {**self._parameters, **parameters}) as copied,
        ):
            piece = bytearray()
            for row in copied:
                piece += row
                if len(piece) >= PIECE_BYTES:
                    yield bytes(piece)
                    piece.clear()
            yield bytes(piece)

    def count(self, invariant: str) -> int:
        """Return how much an invariant has to check."""
        [question] = [each for each in questions() if each.kind == "count" and each.invariant == invariant]
        [row] = self._ask(_with_fragments(question, question.sql))
        return int(next(iter(row.values())))

    def check(self, question: Question) -> Found:
        """Return the violations that a check finds."""
        rows = self._ask(
            _with_fragments(
                question,
                f"SELECT count(*) OVER () AS total, v.ids, v.expected::TEXT, v.found::TEXT\n"
                f"FROM (\n{question.sql}\n) AS v\nORDER BY v.ids::TEXT LIMIT {MAX_EXAMPLES}",
            )
        )
        return Found(int(rows[0]["total"]) if rows else 0, rows)

    def _ask(self, query: str) -> list[dict[str, Any]]:
        # The text is ours, from queries.sql; what comes from outside are parameters.
        return self._connection.execute(query.encode(), self._parameters).fetchall()


def _with_fragments(question: Question, query: str) -> str:
    fragments = {each.name: each.sql for each in questions() if each.kind == "fragment"}
    ctes = ",\n".join(f"{name} AS (\n{fragments[name]}\n)" for name in question.uses)
    whole = f"WITH {ctes}\n{query}" if ctes else query
    return expand(_NUMBER.sub(r"CASE WHEN \1 ->> '\2' ~ '^[0-9]{1,38}$' THEN (\1 ->> '\2')::NUMERIC ELSE 0 END", whole))
