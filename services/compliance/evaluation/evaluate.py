"""Measures screening against the public data: who is found, who is found wrongly, and how long one name takes.

    python services/compliance/evaluation/evaluate.py [DATA]

DATA is the folder that holds `screening/` (default: the variable RIALTO_DATA). Prints JSON (`--json`: one line).
"""

from __future__ import annotations

import argparse
import csv
import gc
import gzip
import json
import os
import resource
import statistics
import sys
import time  # noqa: TID251 - measuring how long a name takes is what this script is for
from collections import Counter, defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rialto_compliance.adapters.list_files import FIXTURE, read_lists
from rialto_compliance.domain.index import Index
from rialto_compliance.domain.matching import Hit
from rialto_compliance.domain.policy import POLICY
from rialto_compliance.domain.sanctions import SanctionsList

LIST_FILES = ("ofac_sdn_*.csv.gz", "ofac_alt_*.csv.gz", "un_consolidated_*.csv.gz", "uk_sanctions_*.csv.gz")


def list_paths(folder: Path) -> list[Path]:
    """Return the full lists in the folder, one path per pattern."""
    return [sorted(folder.glob(pattern))[-1] for pattern in LIST_FILES]


def lists_without_held_out(folder: Path) -> tuple[SanctionsList, ...]:
    """Return the lists without the aliases that the queries were drawn from."""
    alias_file = list_paths(folder)[1]
    with gzip.open(alias_file, "rt", encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row["dev_holdout"] == "0"]
    with TemporaryDirectory() as scratch:
        kept = Path(scratch) / "aliases.csv"
        with kept.open("w", newline="", encoding="utf-8") as out:
            writer = csv.DictWriter(out, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return read_lists([kept if path == alias_file else path for path in list_paths(folder)])


def outcome_of(hits: tuple[Hit, ...]) -> str:
    """Return the policy's word on one name."""
    return str(POLICY.judge(hits))


def recall(index: Index, folder: Path) -> dict[str, Any]:
    """Return, per kind of query, the share whose true entity is among the hits, and the share stopped at all."""
    found: dict[str, list[bool]] = defaultdict(list)
    stopped: dict[str, list[bool]] = defaultdict(list)
    with gzip.open(folder / "queries_public.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            query = json.loads(line)
            hits = index.screen(query["query"])
            truth = tuple(query["truth"].split(":", 1))
            # The same subject under another list's id does not count as the true entity.
            for kind in (query["kind"], "all"):
                found[kind].append(any((hit.list_id, hit.entity_id) == truth for hit in hits))
                stopped[kind].append(outcome_of(hits) != "clear")
    return {
        kind: {"queries": len(found[kind]), "true_entity": _share(found[kind]), "stopped": _share(stopped[kind])}
        for kind in sorted(found)
    }


def _share(found: list[bool]) -> float:
    return round(sum(found) / len(found), 4)


def false_positives(index: Index, folder: Path) -> dict[str, Any]:
    """Return the share of invented persons that is stopped, per file and outcome."""
    result = {}
    for name in ("negatives_us", "negatives_global"):
        with gzip.open(folder / f"{name}.csv.gz", "rt", encoding="utf-8") as lines:
            outcomes = Counter(outcome_of(index.screen(row["full_name"])) for row in csv.DictReader(lines))
        total = outcomes.total()
        result[name] = {"names": total, **{kind: round(outcomes[kind] / total, 5) for kind in ("review", "block")}}
    return result


def latency(index: Index, folder: Path) -> dict[str, Any]:
    """Return how long a name takes that the index sees for the first time, and one that it remembers."""
    names = []
    with gzip.open(folder / "queries_public.jsonl.gz", "rt", encoding="utf-8") as lines:
        names += [json.loads(line)["query"] for line in lines]
    with gzip.open(folder / "negatives_global.csv.gz", "rt", encoding="utf-8") as lines:
        names += [row["full_name"] for row in csv.DictReader(lines)]
    fresh: list[float] = []
    remembered: list[float] = []
    for spent in (fresh, remembered):
        for name in names:
            start = time.perf_counter()
            index.screen(name)
            spent.append(time.perf_counter() - start)
    fresh.sort()
    return {
        "names": len(names),
        "mean_us": round(statistics.fmean(fresh) * 1e6, 1),
        "p50_us": round(fresh[len(fresh) // 2] * 1e6, 1),
        "p99_us": round(fresh[len(fresh) * 99 // 100] * 1e6, 1),
        "max_us": round(fresh[-1] * 1e6, 1),
        "remembered_mean_us": round(statistics.fmean(remembered) * 1e6, 2),
    }


def build(lists: tuple[SanctionsList, ...]) -> Index:
    """Return an index as the service builds it, out of the garbage collector's way."""
    index = Index(lists, cutoff=POLICY.review_score)
    gc.collect()
    gc.freeze()
    return index


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default=os.environ.get("RIALTO_DATA"))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if not arguments.data:
        parser.error("name the data folder, or set RIALTO_DATA")
    folder = Path(arguments.data) / "screening"
    fixture = build(read_lists([FIXTURE]))
    report: dict[str, Any] = {
        "fixture": {"names": fixture.name_count, "false_positives": false_positives(fixture, folder)}
    }
    start = time.perf_counter()
    full = build(lists_without_held_out(folder))
    report["full"] = {
        "policy": POLICY.version,
        "entities": full.entity_count,
        "names": full.name_count,
        "build_seconds": round(time.perf_counter() - start, 2),
        "latency": latency(full, folder),
        "recall": recall(full, folder),
        "false_positives": false_positives(full, folder),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    report["full"]["fixture_latency"] = latency(build(read_lists([FIXTURE])), folder)
    sys.stdout.write(json.dumps(report, indent=None if arguments.json else 2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
