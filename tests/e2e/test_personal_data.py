"""I9: after a payment has gone all the way, nothing that rests or is shown has its payer, or a key, in clear."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from psycopg import sql

from rialto_cli.embedded.services import SERVICES

from .receiver import Receiver
from .running import Rialto, eventually
from .shop import Shop, done, keyed, new_name

PERSON = {
    "name": "Wolframina Quasselzwirn",
    "country": "LI",
    "email": "wolframina@quasselzwirn.example",
    "phone": "+423 555 918 273 645",
    "date_of_birth": "1907-11-23",
    "address_line": "Zwirbelgasse 99187",
    "city": "Quasselhofen",
    "postal_code": "LI-9918-QZ",
}
NEEDLES = [value for field, value in PERSON.items() if field not in ("country", "date_of_birth")] + ["Quasselzwirn"]


def spellings(text: str) -> Iterator[str]:
    """How a text looks as it is, in bytes shown as hexadecimal, and within base64 at each of its three phases."""
    raw = text.encode()
    yield text
    yield raw.hex()
    for phase in range(3):
        encoded = base64.b64encode(b"\0" * phase + raw + b"\0" * (-(phase + len(raw)) % 3)).decode()
        # The first and last characters also depend on the neighbours.
        yield encoded[4 if phase else 0 : -4]


def found_in(text: str, needles: list[str]) -> list[str]:
    """Which of the needles a text contains, in any of their spellings."""
    folded = text.casefold()
    return [needle for needle in needles if any(each.casefold() in folded for each in spellings(needle))]


def tables_with(rialto: Rialto, needles: list[str]) -> list[tuple[str, str]]:
    """Every (table, needle) where a row has the needle in any column, in any of its spellings."""
    spelt = [(needle, each.lower()) for needle in needles for each in spellings(needle)]
    found = []
    with rialto.superuser() as connection:
        tables = connection.execute(
            """
            SELECT n.nspname AS schema, c.relname AS name
            FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
            """
        ).fetchall()
        assert {"gateway", "ledger", "fraud", "compliance", "chain_bridge", "bus", "keyring"} <= {
            table["schema"] for table in tables
        }
        for table in tables:
            # The whole row as text, made once: bytes show as hexadecimal, documents as they are.
            query = sql.SQL(
                "SELECT DISTINCT s.needle FROM (SELECT lower(t::TEXT) AS text FROM {} AS t OFFSET 0) AS r"
                " JOIN unnest(%s::TEXT[], %s::TEXT[]) AS s (needle, spelling) ON strpos(r.text, s.spelling) > 0"
            ).format(sql.Identifier(table["schema"], table["name"]))
            hits = connection.execute(query, [[needle for needle, _ in spelt], [each for _, each in spelt]])
            found += [(f"{table['schema']}.{table['name']}", row["needle"]) for row in hits]
    return found


def logs_with(rialto: Rialto, needles: list[str]) -> list[tuple[str, str]]:
    """Every (log file, needle)."""
    files = sorted(rialto.installation.logs.glob("*.log*"))
    assert {f"{name}.log" for name in (*SERVICES, "postgres", "anvil")} <= {file.name for file in files}
    return [(file.name, needle) for file in files for needle in found_in(file.read_text(errors="replace"), needles)]


def metrics_with(rialto: Rialto, needles: list[str]) -> list[tuple[str, str]]:
    """Every (service, needle)."""
    pages = {name: httpx.get(f"{rialto.installation.url(name)}/metrics", timeout=30) for name in SERVICES}
    assert all(page.status_code == 200 and "rialto_" in page.text for page in pages.values())
    return [(name, needle) for name, page in pages.items() for needle in found_in(page.text, needles)]


@pytest.mark.parametrize("text", ["Wolframina Quasselzwirn", "sk_test_abc"])
@pytest.mark.parametrize("around", [b"", b"x", b"xy", b"xyz"])
def test_the_search_finds_what_was_planted_in_any_encoding(text: str, around: bytes) -> None:
    planted = around + text.encode() + around
    for found in (planted.decode(), planted.hex(), base64.b64encode(planted).decode(), text.upper()):
        assert found_in(f"before{found}after", [text]) == [text]
    assert found_in("nothing of the kind", [text]) == []


def test_no_table_log_or_metric_has_the_payer_in_clear(rialto: Rialto, shop: Shop) -> None:
    with rialto.superuser() as connection:
        connection.execute("CREATE TABLE public.planted AS SELECT %s::TEXT AS name", [PERSON["name"]])
        try:
            assert ("public.planted", PERSON["name"]) in tables_with(rialto, NEEDLES), "the search must work"
        finally:
            connection.execute("DROP TABLE public.planted")

    wallet = shop.wallet(1_000)
    with Receiver() as receiver:
        done(shop.client.post("/v1/webhook_endpoints", json={"url": receiver.url}, headers=keyed("endpoint")))
        payment_id = shop.pay(wallet, 300, payer=PERSON, payee=PERSON)
        # As payee and in requests that are refused as well: answers and logs must not repeat what was wrong.
        refused = [
            shop.offer(wallet, 300, new_name("bad"), payer=PERSON | {"name": PERSON["name"] * 20}),
            shop.offer(wallet, 300, new_name("bad"), payer=PERSON | {PERSON["name"]: "x"}),
            shop.offer(wallet, 300, new_name("bad"), payer=PERSON | {"country": PERSON["name"]}),
            shop.client.post("/v1/payments", content=json.dumps(PERSON)[:-1], headers={"Idempotency-Key": "bad"}),
        ]
        shop.until(payment_id, "settled")
        eventually(lambda: len(receiver.taken) >= 3, "three messages")
    assert [answer.status_code for answer in refused] == [400] * 4
    shown = [shop.get(payment_id), shop.client.get("/v1/payments").json(), *(answer.json() for answer in refused[2:])]
    shown += [json.loads(received.body) for received in receiver.taken]
    assert found_in(json.dumps(shown), NEEDLES) == []

    assert tables_with(rialto, NEEDLES) == []
    assert logs_with(rialto, NEEDLES) == []
    assert metrics_with(rialto, NEEDLES) == []


def test_no_table_log_or_metric_has_a_key_in_clear(rialto: Rialto, shop: Shop) -> None:
    with Receiver() as receiver:
        headers = {"Idempotency-Key": new_name("endpoint")}
        endpoint = done(shop.client.post("/v1/webhook_endpoints", json={"url": receiver.url}, headers=headers))
        shop.until(shop.pay(shop.wallet(300), 300), "settled")
        eventually(lambda: len(receiver.taken) >= 3, "three messages")
    assert shop.client.get("/v1/payments", headers={"Authorization": f"Bearer {shop.key}x"}).status_code == 401
    keys = [shop.key, endpoint["secret"].removeprefix("whsec_"), *secrets_of(rialto.data_dir)]
    assert len(keys) > 6
    assert tables_with(rialto, keys) == []
    assert logs_with(rialto, keys) == []
    assert metrics_with(rialto, keys) == []


def secrets_of(data_dir: Path) -> list[str]:
    """Every secret of the installation."""

    def texts(value: object) -> Iterator[str]:
        if isinstance(value, dict):
            for each in value.values():
                yield from texts(each)
        elif isinstance(value, str):
            yield value.removeprefix("0x")

    return list(texts(json.loads((data_dir / "secrets.json").read_text())))
