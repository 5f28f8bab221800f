"""Batches as bytes to commands: read at once where they are plain, by the models where they are not.

`NewBatch` says what a batch may be, and what is wrong with one that is refused. Reading thousands of entries through it
costs more than posting them, so a batch is first read here, by the same rules written out; at the first thing that is
not plainly right the models read it all again, and theirs is the last word. A test holds both to the same answer.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson

from rialto_common import ids
from rialto_common.errors import InvalidId
from rialto_common.money import MAX_MINOR
from rialto_ledger.domain.account import Mode, Side
from rialto_ledger.domain.commands import PostEntry
from rialto_ledger.domain.journal import NO_METADATA, Posting
from rialto_ledger.entrypoints.bodies import MAX_ENTRIES, MAX_POSTINGS, OWN_KINDS

_POSTED = {"id", "kind", "postings"}
_SIDES = {side.value: side for side in Side}
_CURRENCY = re.compile(r"[A-Za-z0-9]{3,12}").fullmatch
_KIND = re.compile(r"[a-z][a-z0-9_.]{0,39}").fullmatch


class NotPlain(Exception):
    """Something that only the models can judge."""


def read_plain(body: bytes, mode: Mode, now: datetime) -> tuple[list[PostEntry], bool]:
    """Return a batch's commands in its order, and whether they are linked.

    Raises: NotPlain: it may be wrong, or right in a way that is rarely used; `NewBatch` tells.
    """
    try:
        batch = orjson.loads(body)
        linked = batch.pop("linked", False)
        entries = batch.pop("entries")
        if batch or type(linked) is not bool or not 1 <= len(entries) <= MAX_ENTRIES:
            raise NotPlain
        return [_entry(entry, mode, now) for entry in entries], linked
    except (ValueError, TypeError, KeyError, AttributeError, InvalidId) as error:
        raise NotPlain from error


def _entry(entry: dict[str, Any], mode: Mode, now: datetime) -> PostEntry:
    entry_id = ids.from_text("je", entry["id"])
    lines = entry["postings"]
    if entry_id.version != 7 or type(lines) is not list or not 2 <= len(lines) <= MAX_POSTINGS:
        raise NotPlain
    metadata: Mapping[str, str] = NO_METADATA
    if entry.keys() != _POSTED:
        # When it happened, or anything we do not know.
        if entry.keys() != _POSTED | {"metadata"}:
            raise NotPlain
        metadata = _metadata(entry["metadata"])
    postings = tuple([_posting(line) for line in lines])
    return PostEntry(
        entry_id, _kind(entry["kind"]), postings[0].account_id, mode, None, None, postings, (), now, metadata
    )


def _posting(line: dict[str, Any]) -> Posting:
    amount = line["amount_minor"]
    if len(line) != 4 or type(amount) is not str or not (len(amount) <= 38 and amount.isascii() and amount.isdigit()):
        raise NotPlain
    amount_minor = int(amount)
    if not 0 < amount_minor <= MAX_MINOR:
        raise NotPlain
    return Posting(_account_id(line["account_id"]), _SIDES[line["side"]], amount_minor, _currency(line["currency"]))


@lru_cache(maxsize=65_536)  # the accounts that are posted to most come again in every batch
def _account_id(text: str) -> UUID:
    prefix = text.partition("_")[0]
    if prefix not in ("acc", "wal"):
        raise NotPlain
    return ids.from_text(prefix, text)


@lru_cache(maxsize=1_024)
def _currency(text: str) -> str:
    if _CURRENCY(text) is None:
        raise NotPlain
    return text


@lru_cache(maxsize=1_024)
def _kind(text: str) -> str:
    if _KIND(text) is None or text in OWN_KINDS:
        raise NotPlain
    return text


def _metadata(metadata: dict[str, Any]) -> dict[str, str]:
    if type(metadata) is not dict or len(metadata) > 20:
        raise NotPlain
    for key, value in metadata.items():
        if type(value) is not str or len(key) > 40 or len(value) > 500 or "\x00" in key or "\x00" in value:
            raise NotPlain
    return metadata
