"""A report for people."""

from collections.abc import Iterator

from rialto_cli.ledger.verify.findings import Report

MAX_SHOWN = 100


def lines(report: Report) -> Iterator[str]:
    """Return the report line by line: findings first, then what was looked at, then what it does not show."""
    for finding in report.findings[:MAX_SHOWN]:
        yield f"{finding.problem}: {finding.where()}"
        yield f"  expected  {finding.expected}"
        yield f"  found     {finding.found}"
    if report.findings_total > MAX_SHOWN:
        yield f"… and {report.findings_total - MAX_SHOWN} more"
    yield f"{report.entries} entries with {report.postings} postings, {report.blocks} blocks"
    if report.last_block is not None:
        yield "last block {number}, sealed {sealed_at}: super-root {super_root}".format(**report.last_block)
        yield "compare that super-root with one you were given before, or with the one anchored on chain"
    if report.archived:
        yield f"{report.archived} entries are archived: blocks vouch for their hashes, their content was not here;"
        yield "name the files of their months with --archive to check it too"
    if report.unsealed:
        count = sum(tail.last_position - tail.first_position + 1 for tail in report.unsealed)
        yield f"{count} entries in {len(report.unsealed)} shards are chained but not sealed yet: if some were cut off"
        yield "behind the last of a shard, this could not be noticed here"
    yield "every hash, link, balance and block holds" if report.holds else f"{report.findings_total} findings"
