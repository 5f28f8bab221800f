"""The independent verifier of the ledger's proofs: written from docs/ledger/PROOFS.md alone.

It shares no code with what it verifies, neither the ledger's nor the common library's: a mistake in how hashes are made
cannot hide in how they are checked. An export file is all it needs.

    file.py, database.py    where records come from
    records.py              what a record must look like
    encoding.py, merkle.py  the hashes, computed anew
    blocks.py, ranges.py    the blocks, and what they seal of each shard
    chain.py                one shard's entries against their chain and the blocks
    archives.py             the entries of archived months, each in its place
    run.py                  all of it over a stream of records, in bounded memory
    findings.py, render.py  what was found, and how it is told
"""
