"""`rialto payments create`, `get`, `list`, `listen`, `trigger` and `env`."""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rialto_cli.commands import absolute
from rialto_cli.errors import OperatorError
from rialto_cli.options import DEFAULT_DATA_DIR, AsJson, DataDir

if TYPE_CHECKING:
    from rialto_cli.payments.account import Account
    from rialto_cli.payments.listen import Forwarded

ApiKey = Annotated[
    str | None,
    typer.Option("--api-key", envvar="RIALTO_KEY", help="A merchant's key. [default: of `rialto up`'s demo merchant]"),
]
Url = Annotated[
    str | None, typer.Option("--url", envvar="RIALTO_URL", help="The gateway. [default: that of `rialto up`]")
]
IdempotencyKey = Annotated[
    str | None,
    typer.Option("--idempotency-key", help="Under one key it is done once. [default: a new one]"),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    payments = typer.Typer(help="Make payments, look at them, hear of their events.", no_args_is_help=True)
    for name, command in (
        ("create", create),
        ("get", get),
        ("list", list_),
        ("listen", listen),
        ("trigger", trigger),
        ("env", env),
    ):
        payments.command(name)(command)
    app.add_typer(payments, name="payments")


def create(
    amount: Annotated[int, typer.Option("--amount", "-a", min=1, help="Whole minor units: 1250 is 12.50 USD.")],
    currency: Annotated[str, typer.Option("--currency", "-c")] = "USD",
    card: Annotated[
        str | None, typer.Option("--card", help="A card's token; `rialto acquirer-sim --tokens` has those for tests.")
    ] = None,
    wallet: Annotated[str | None, typer.Option("--wallet", help="A wallet. [default: the demo merchant's]")] = None,
    payer: Annotated[str, typer.Option("--payer", help="The payer's name.")] = "Ada Lovelace",
    country: Annotated[str, typer.Option("--country", help="The payer's, as ISO 3166-1 alpha-2.")] = "GB",
    manual: Annotated[bool, typer.Option("--manual", help="Authorise only; capture it yourself later.")] = False,
    description: Annotated[str | None, typer.Option("--description")] = None,
    metadata: Annotated[list[str] | None, typer.Option("--metadata", metavar="KEY=VALUE", help="Repeatable.")] = None,
    wait: Annotated[float, typer.Option("--wait", min=0, max=30, help="Seconds to wait for the decision.")] = 10.0,
    idempotency_key: IdempotencyKey = None,
    api_key: ApiKey = None,
    url: Url = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Make a payment by card or from a wallet, and show it. Exit status 1 when it is declined or fails."""
    from rialto_cli.payments.account import opened
    from rialto_cli.payments.render import story

    account = _account(data_dir, url, api_key)
    method = _method(card, wallet or account.wallet_id)
    with opened(account) as client:
        payment = client.payments.create(
            amount_minor=amount,
            currency=currency,
            payment_method=method,
            payer={"name": payer, "country": country},
            capture_method="manual" if manual else "automatic",
            description=description,
            metadata=_pairs(metadata or ()),
            wait=wait or None,
            idempotency_key=idempotency_key,
        )
    _print(payment, as_json, story(payment))
    raise typer.Exit(1 if payment.status in ("declined", "failed") else 0)


def get(
    payment_id: Annotated[str, typer.Argument(help="The payment's id, pay_…")],
    api_key: ApiKey = None,
    url: Url = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Show a payment: how it stands, how it came there, and what is still open."""
    from rialto_cli.payments.account import opened
    from rialto_cli.payments.render import story

    if not payment_id:
        raise OperatorError("There is no payment without an id", "the id is empty", "`rialto payments list` shows them")
    with opened(_account(data_dir, url, api_key)) as client:
        payment = client.payments.retrieve(payment_id)
    _print(payment, as_json, story(payment))


def list_(
    status: Annotated[str | None, typer.Option("--status", "-s", help="Only those in this state.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="How many at most.")] = 20,
    api_key: ApiKey = None,
    url: Url = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """List payments, newest first."""
    from itertools import islice

    from rialto_cli.payments.account import opened
    from rialto_cli.payments.render import show

    with opened(_account(data_dir, url, api_key)) as client:
        if as_json:
            pages = client.payments.list(status=status, limit=min(limit, 1000)).pages()
            bodies = (each for page in pages if page.response is not None for each in page.response.body["data"])
            typer.echo(json.dumps(list(islice(bodies, limit)), indent=2))
            return
        found = list(islice(client.payments.list(status=status, limit=min(limit, 1000)), limit))
    if found:
        show(found)
    else:
        typer.echo("no payments" if status is None else f"no payments are {status}")


def listen(
    forward_to: Annotated[
        str | None, typer.Option("--forward-to", help="Your endpoint, such as http://localhost:3000/hook.")
    ] = None,
    types: Annotated[
        list[str] | None, typer.Option("--type", "-t", help="Only this type, or payment.* for a kind. Repeatable.")
    ] = None,
    secret: Annotated[
        str | None,
        typer.Option("--secret", envvar="RIALTO_WEBHOOK_SECRET", help="Sign with this. [default: a new one, shown]"),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", help="Begin with what happened in this time (10m, 2h) or since."),
    ] = None,
    most: Annotated[int | None, typer.Option("--count", min=1, help="End after so many events.")] = None,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Whether to wait for what comes.")] = True,
    api_key: ApiKey = None,
    url: Url = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: Annotated[bool, typer.Option("--json", help="Print each event as one JSON object a line.")] = False,
) -> None:
    """Show events as they come, and forward them to a URL of yours as signed webhooks, until Ctrl-C."""
    from rialto import webhooks
    from rialto_cli.console import Progress
    from rialto_cli.payments.account import opened
    from rialto_cli.payments.feed import Feed
    from rialto_cli.payments.listen import Listener, new_secret

    signing = secret or new_secret()
    try:
        webhooks.key_of(signing)
    except ValueError as error:
        raise OperatorError("The secret is none", str(error), "leave --secret out for a new one") from error
    if forward_to is not None and not forward_to.startswith(("http://", "https://")):
        raise OperatorError(
            f"{forward_to[:80]} cannot be called", "it is not an http:// or https:// URL", "write it out in full"
        )
    begin = _instant(since, follow)
    account = _account(data_dir, url, api_key)
    with Progress() as progress, opened(account, retry_seconds=0) as client:
        if forward_to is not None:
            progress.note(f"forwarding to {forward_to}, signed with {signing}")
        listener = Listener(
            client,
            Feed(begin),
            types=types or (),
            forward_to=forward_to,
            secret=signing,
            shown=_json_line if as_json else _line,
            progress=progress,
        )
        try:
            listener.run(most=most, follow=follow)
        except KeyboardInterrupt:
            progress.note(f"ended; go on with --since {listener.since:%Y-%m-%dT%H:%M:%SZ}")
        except BrokenPipeError:
            # Nobody reads any more, as after `| head`. Python would try to write the rest at its end, and say so.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def trigger(
    kind: Annotated[
        str | None, typer.Argument(metavar="TYPE", help="Such as payment.captured; without, lists them.")
    ] = None,
    api_key: ApiKey = None,
    url: Url = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Make a real payment go through an event, by a test token: nothing is made up."""
    from rialto_cli.console import Progress
    from rialto_cli.payments.account import opened
    from rialto_cli.payments.render import story
    from rialto_cli.payments.stage import Stage
    from rialto_cli.payments.trigger import RECIPES, recipe_of
    from rialto_cli.payments.trigger import trigger as run

    if kind is None:
        says = {name: recipe.says for name, recipe in RECIPES.items()}
        typer.echo(json.dumps(says, indent=2) if as_json else "\n".join(f"{name:<24} {says[name]}" for name in says))
        return
    recipe_of(kind)
    account = _account(data_dir, url, api_key)
    with Progress() as progress, opened(account) as client:
        done = run(kind, Stage(client, account, progress))
    payment = done.payment
    if as_json:
        event = None if done.event is None or done.event.response is None else done.event.response.body
        answered = None if payment.response is None else payment.response.body
        typer.echo(json.dumps({"type": kind, "event": event, "payment": answered}, indent=2))
        return
    typer.echo(f"{kind}  {payment.id if done.event is None else done.event.id}")
    typer.echo("\n".join(story(payment)))


def env(data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False) -> None:
    """Print what the SDK and these commands read: `eval "$(rialto payments env)"` in a shell."""
    from shlex import quote

    account = _account(data_dir, None, None)
    found = {"RIALTO_URL": account.url, "RIALTO_KEY": account.key, "RIALTO_WALLET": account.wallet_id or ""}
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        typer.echo(f"export {name}={quote(value)}")


def _account(data_dir: Path, url: str | None, api_key: str | None) -> "Account":
    from rialto_cli.payments.account import account_of

    return account_of(absolute(data_dir), url, api_key)


def _method(card: str | None, wallet: str | None) -> Any:
    if card is not None:
        return {"type": "card", "token": card}
    if wallet is not None:
        return {"type": "wallet", "wallet_id": wallet}
    raise OperatorError(
        "It is not said how to pay",
        "there is neither a card's token nor a wallet",
        "say --card tok_approve, or --wallet wal_…",
    )


def _pairs(texts: list[str] | tuple[()]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, mark, value = text.partition("=")
        if not mark or not name:
            raise OperatorError(f"'{text[:60]}' is no metadata", "there is no = in it", "write it as order=1001")
        pairs[name] = value
    return pairs


def _instant(since: str | None, follow: bool) -> datetime | None:
    """Return from when on events are wanted; None for those that come. Raises: OperatorError: it is no time."""
    from rialto_cli.events.selection import span_of

    if since is None:
        return None if follow else datetime(1970, 1, 1, tzinfo=UTC)
    try:
        at = datetime.fromisoformat(since)
    except ValueError:
        return datetime.now(UTC) - span_of(since)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _print(payment: Any, as_json: bool, lines: list[str]) -> None:
    typer.echo(json.dumps(payment.response.body, indent=2) if as_json else "\n".join(lines))


def _line(forwarded: "Forwarded") -> None:
    event = forwarded.event
    answer = ""
    if forwarded.error is not None:
        answer = f"  not taken: {forwarded.error}"
    elif forwarded.status is not None:
        answer = f"  {forwarded.status} in {forwarded.duration_ms:.0f} ms"
    at = datetime.fromisoformat(event["created_at"])
    sys.stdout.write(f"{at:%H:%M:%S}  {event['type']:<24} {event['data']['id']}  {event['id']}{answer}\n")
    sys.stdout.flush()


def _json_line(forwarded: "Forwarded") -> None:
    answer = {"http_status": forwarded.status, "error": forwarded.error, "duration_ms": forwarded.duration_ms}
    sys.stdout.write(json.dumps(forwarded.event | {"forwarded": answer}) + "\n")
    sys.stdout.flush()
