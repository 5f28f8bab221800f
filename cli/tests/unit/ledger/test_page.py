"""docs/ledger/PROOFS.md is right: the ledger, the verifier and the page's own checker compute what it says."""

import json
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from rialto_cli.ledger.verify import encoding, records
from rialto_ledger.domain import chain
from rialto_ledger.domain.account import Side
from rialto_ledger.domain.blocks import InclusionProof, check
from rialto_ledger.domain.journal import JournalEntry, Posting

PAGE = (Path(__file__).parents[4] / "docs" / "ledger" / "PROOFS.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ENTRY, PROOF = (json.loads(body) for language, body in BLOCKS if language == "json")
[PROGRAM] = [body for language, body in BLOCKS if language == "python"]
[BYTES] = [body for language, body in BLOCKS if language == "text"]
[SUPER_ROOT] = re.findall(r"^For the entry and the proof above it prints\n\n```\n(\w{64})\n```$", PAGE, re.MULTILINE)


def optional(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)


def journal_entry(raw: dict[str, Any]) -> JournalEntry:
    """Return the entry of a record."""
    return JournalEntry(
        id=UUID(raw["id"]),
        kind=raw["kind"],
        mode=raw["mode"],
        shard=raw["shard"],
        merchant_id=optional(raw["merchant_id"]),
        payment_id=optional(raw["payment_id"]),
        effective_at=datetime.fromisoformat(raw["effective_at"]),
        recorded_at=datetime.fromisoformat(raw["recorded_at"]),
        postings=tuple(
            Posting(UUID(line["account_id"]), Side(line["side"]), int(line["amount_minor"]), line["currency"])
            for line in raw["postings"]
        ),
        metadata=raw["metadata"],
        reverses=optional(raw["reverses"]),
    )


def shown_bytes() -> bytes:
    """Return the bytes that the page writes out: on each line, hexadecimal until the name of what it is."""
    lines = [re.match(r"((?:[0-9a-f]{2})+(?: (?:[0-9a-f]{2})+)?) +\S", line) for line in BYTES.splitlines()]
    return b"".join(bytes.fromhex(line[1]) for line in lines if line)


def test_the_example_is_written_as_the_page_shows() -> None:
    assert chain.encode(journal_entry(ENTRY)) == shown_bytes()


def test_the_examples_hash_follows_from_the_one_before_it() -> None:
    previous = bytes.fromhex(PROOF["previous_hash"])
    assert f"has the hash\n`{PROOF['previous_hash']}`" in PAGE
    assert f"is `{ENTRY['hash']}`" in PAGE
    assert chain.link(previous, journal_entry(ENTRY)).hex() == ENTRY["hash"] == PROOF["hash"]
    read = records.read(orjson.loads(orjson.dumps(ENTRY)))
    assert isinstance(read, records.Entry)
    assert encoding.link(previous, read).hex() == ENTRY["hash"]


def test_the_examples_proof_leads_to_its_super_root() -> None:
    proof = InclusionProof.from_json(PROOF)
    assert proof.as_json() == PROOF
    assert SUPER_ROOT == PROOF["block"]["super_root"]
    assert check(proof, journal_entry(ENTRY), bytes.fromhex(SUPER_ROOT))


def run(folder: Path, entry: dict[str, Any], proof: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Run the page's checker as a receiver would."""
    (folder / "check.py").write_text(PROGRAM)
    (folder / "entry.json").write_text(json.dumps(entry))
    (folder / "proof.json").write_text(json.dumps(proof))
    return subprocess.run(
        [sys.executable, "-I", "check.py", "entry.json", "proof.json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_pages_checker_computes_the_super_root(tmp_path: Path) -> None:
    ran = run(tmp_path, ENTRY, PROOF)
    assert ran.stdout.strip() == SUPER_ROOT, ran.stderr


@pytest.mark.parametrize("change", [{"kind": "refund"}, {"payment_id": None}, {"shard": 18}])
def test_the_pages_checker_does_not_come_there_from_another_entry(change: dict[str, Any], tmp_path: Path) -> None:
    ran = run(tmp_path, ENTRY | change, PROOF)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() != SUPER_ROOT
