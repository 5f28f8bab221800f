"""Reads sanctions lists from files: our own format, and those the list keepers and their mirrors publish.

Every file may be gzipped (`.gz`). What a file is shows in its first line:

- ours: `list_id,entity_id,name,kind,aliases`, aliases parted by `|`;
- OFAC SDN (`sdn.csv`): no header, twelve columns; its alias file has the header `ent_num,alt_type,alt_name,…`;
- UN consolidated, names extracted: `un_ref,kind,role,name`;
- UK sanctions list, names extracted: `uk_id,kind,un_ref,role,name`.

Files that feed one list (OFAC and its aliases) are merged by entity.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rialto_compliance.domain.errors import ListUnreadable
from rialto_compliance.domain.sanctions import ListedEntity, SanctionsList

FIXTURE = Path(__file__).resolve().parent.parent / "lists" / "fixture.csv"

_OFAC_KINDS = {"individual": "Person", "vessel": "Vessel", "aircraft": "Aircraft"}


@dataclass(slots=True)
class _Row:
    list_id: str
    entity_id: str
    kind: str | None
    names: list[str] = field(default_factory=list)


def read_lists(paths: Iterable[Path]) -> tuple[SanctionsList, ...]:
    """Return the lists that the files hold, in order of list id.

    Raises: ListUnreadable: a file is missing, has an unknown first line, a row too short, or no entries.
    """
    paths = tuple(paths)
    kinds: dict[tuple[str, str], str] = {}
    names: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for path in paths:
        count = 0
        for row in _read(path):
            count += 1
            entity = (row.list_id, row.entity_id)
            if row.kind is not None:
                kinds[entity] = row.kind
            names[entity].update(dict.fromkeys(row.names))
        if not count:
            raise ListUnreadable(str(path), "it holds no entries")
    if not kinds:
        # Aliases alone name nobody, and a screening against nobody would clear everyone.
        raise ListUnreadable(" and ".join(map(str, paths)) or "(none)", "no entity is listed")
    return tuple(_merged(kinds, names))


def _merged(
    kinds: Mapping[tuple[str, str], str], names: Mapping[tuple[str, str], Mapping[str, None]]
) -> Iterator[SanctionsList]:
    # Aliases of an entity that no list names any more have no kind, and are left out.
    by_list: dict[str, list[ListedEntity]] = defaultdict(list)
    for (list_id, entity_id), kind in kinds.items():
        by_list[list_id].append(ListedEntity(entity_id, kind, tuple(names[list_id, entity_id])))
    for list_id in sorted(by_list):
        yield SanctionsList.of(list_id, by_list[list_id])


def _read(path: Path) -> Iterator[_Row]:
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig", errors="replace")
    except (OSError, EOFError, zlib.error) as failure:
        raise ListUnreadable(str(path), str(getattr(failure, "strerror", None) or failure)) from failure
    first, _, _ = text.partition("\n")
    header = tuple(column.strip() for column in next(csv.reader([first]), []))
    for expected, reader in _READERS.items():
        if header[: len(expected)] == expected:
            yield from _rows(path, csv.DictReader(io.StringIO(text)), reader)
            return
    if len(header) >= 12 and header[0].isdigit():
        yield from _ofac_entities(csv.reader(io.StringIO(text)))
        return
    raise ListUnreadable(str(path), "its first line is that of no known format")


def _rows(path: Path, rows: csv.DictReader[str], reader: Callable[[Mapping[str, str]], _Row]) -> Iterator[_Row]:
    for number, row in enumerate(rows, start=2):
        if None in row.values():
            raise ListUnreadable(str(path), f"line {number} has too few columns")
        yield reader(row)


def _ofac_entities(rows: Iterable[Sequence[str]]) -> Iterator[_Row]:
    for row in rows:
        # The file ends with a control-Z line, a relic that its readers are told to expect.
        if len(row) >= 3:
            yield _Row("ofac", row[0].strip(), _OFAC_KINDS.get(row[2].strip(), "Organization"), [row[1].strip()])


def _own(row: Mapping[str, str]) -> _Row:
    aliases = [alias.strip() for alias in row["aliases"].split("|") if alias.strip()]
    return _Row(row["list_id"], row["entity_id"], row["kind"], [row["name"].strip(), *aliases])


def _ofac_alias(row: Mapping[str, str]) -> _Row:
    return _Row("ofac", row["ent_num"], None, [row["alt_name"]])


def _un(row: Mapping[str, str]) -> _Row:
    return _Row("un", row["un_ref"], row["kind"], [row["name"]])


def _uk(row: Mapping[str, str]) -> _Row:
    return _Row("uk", row["uk_id"], row["kind"], [row["name"]])


_READERS: dict[tuple[str, ...], Callable[[Mapping[str, str]], _Row]] = {
    ("list_id", "entity_id", "name", "kind", "aliases"): _own,
    ("ent_num", "alt_type", "alt_name"): _ofac_alias,
    ("un_ref", "kind", "role", "name"): _un,
    ("uk_id", "kind", "un_ref", "role", "name"): _uk,
}
