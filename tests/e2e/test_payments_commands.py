"""`rialto payments`: a merchant's engineer at a terminal, against the running platform."""

import json
import re
import signal
import subprocess
from dataclasses import dataclass
from typing import Any

import pytest
from standardwebhooks import Webhook
from typer.testing import CliRunner, Result

from rialto_cli.acquirer_sim.tokens import TOKENS
from rialto_cli.app import build
from rialto_cli.errors import OperatorError
from rialto_cli.payments.trigger import CANNOT, RECIPES
from rialto_gateway.webhooks.messages import MESSAGES

from .receiver import Receiver
from .running import Rialto, eventually
from .shop import new_name

runner = CliRunner()
ATTEMPTS = ("attempt.unknown", "attempt.resolved")
"""What happens between gateway and acquirer, and is told no merchant."""


def said(rialto: Rialto, *arguments: str, key: str | None = None) -> Result:
    """Run `rialto payments …` here, as a process for each costs a second."""
    given = ["payments", *arguments, "--data-dir", str(rialto.data_dir)]
    return runner.invoke(build(), [*given, *([] if key is None else ["--api-key", key])])


def json_of(rialto: Rialto, *arguments: str) -> Any:
    """Return what a command prints with --json."""
    result = said(rialto, *arguments, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


def refused(result: Result) -> OperatorError:
    """Return the three lines that a command ended with: sentences without their last full stop."""
    assert isinstance(result.exception, OperatorError), (result.output, result.exception)
    error = result.exception
    for line in (error.what, error.why, error.next_step):
        assert line, error
        assert not line.endswith("."), error
        assert "Traceback" not in line, error
    return error


def paid(rialto: Rialto, *arguments: str) -> Any:
    """Make a payment of a payer nobody has seen."""
    return json_of(rialto, "create", "--amount", "1250", "--payer", f"Payer of {new_name('command')}", *arguments)


def test_a_payment_is_made_shown_and_listed(rialto: Rialto) -> None:
    payment = paid(rialto, "--card", "tok_approve", "--metadata", "order=1001", "--manual")
    assert (payment["status"], payment["amount_minor"], payment["metadata"]) == (
        "authorised",
        "1250",
        {"order": "1001"},
    )
    assert json_of(rialto, "get", payment["id"])["timeline"]
    shown = said(rialto, "get", payment["id"]).stdout
    assert shown.startswith(f"{payment['id']}  authorised  12.50 USD, to capture 12.50 USD\n")
    assert "payment.created" in shown
    assert json_of(rialto, "list", "--limit", "1")[0]["id"] == payment["id"]
    table = said(rialto, "list", "--status", "authorised").stdout
    assert re.search(
        rf"^{payment['id']} +\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d +12\.50 USD +card +authorised", table, re.MULTILINE
    )
    # Without a card it is the demo merchant's wallet.
    assert paid(rialto)["payment_method"]["type"] == "wallet"


def test_the_same_key_makes_one_payment(rialto: Rialto) -> None:
    key = new_name("order")
    given = ("create", "-a", "700", "--card", "tok_approve", "--payer", key, "--idempotency-key", key)
    first, again = json_of(rialto, *given), json_of(rialto, *given)
    assert first["id"] == again["id"]


def test_a_decline_is_shown_and_ends_with_status_1(rialto: Rialto) -> None:
    result = said(rialto, "create", "-a", "1250", "--card", "tok_decline_lost_or_stolen", "--payer", new_name("payer"))
    assert result.exit_code == 1
    assert "declined (card_lost_or_stolen)" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("get", "pay_nonsense"), "The gateway refused: id_invalid"),
        (("get", "pay_01kb6w1m8xf0gbb7n5d8jq2c4r"), "The gateway refused: payment_not_found"),
        (("get", ""), "There is no payment without an id"),
        (("create", "-a", "1", "--currency", "XXQ"), "The gateway refused: currency_unknown"),
        (("create", "-a", "1", "--metadata", "order"), "'order' is no metadata"),
        (("list", "--api-key", "sk_test_wrong"), "does not know the key"),
        (("list", "--url", "http://127.0.0.1:9"), "There is no key for"),
        (("list", "--url", "localhost:8080", "--api-key", "sk_test_some"), "localhost:8080 is no address"),
        (("listen", "--secret", "!"), "The secret is none"),
        (("listen", "--forward-to", "localhost:3000"), "cannot be called"),
        (("listen", "--since", "soon"), "'soon' is not a span of time"),
        (("listen", "--type", "payment.eaten"), "The gateway refused: invalid_request"),
        (("trigger", "payment.eaten"), "There is no event payment.eaten to trigger"),
        (("trigger", "payment.expired"), "payment.expired cannot be triggered"),
        (("trigger", "payment.captured", "--api-key", "sk_live_some"), "payment.captured was not triggered"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_wrong_is_said_in_sentences(rialto: Rialto, arguments: tuple[str, ...], what: str) -> None:
    assert what in refused(said(rialto, *arguments)).what


def test_where_nothing_answers_it_is_said_what_to_do(rialto: Rialto, monkeypatch: pytest.MonkeyPatch) -> None:
    error = refused(runner.invoke(build(), ["payments", "list", "--data-dir", "/nowhere/at/all"]))
    assert "is not running" in error.what
    away = ("list", "--url", "http://127.0.0.1:9", "--api-key", "sk_test_some")
    monkeypatch.setattr("rialto_cli.payments.account.RETRY_SECONDS", 0.0)
    assert "does not answer" in refused(said(rialto, *away)).what


def types_of(hook: Receiver, payment_id: str) -> list[str]:
    """The events of a payment that an endpoint got, in the order in which they came."""
    bodies = [json.loads(each.body) for each in (*hook.refused, *hook.taken)]
    return [body["type"] for body in bodies if body["data"]["id"] == payment_id]


@dataclass
class Listening:
    """A running `rialto payments listen`, and the secret it signs with."""

    process: "subprocess.Popen[str]"
    secret: str = ""


def listening(rialto: Rialto, hook: Receiver) -> Listening:
    """Start `rialto payments listen`, and return once it listens."""
    command = rialto.command("payments", "listen", "--forward-to", hook.url)
    started = Listening(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    assert started.process.stderr is not None
    line = ""
    while "listening" not in line:
        line = started.process.stderr.readline()
        assert line, started.process.wait()
        if (secret := re.search(r"whsec_\S+", line)) is not None:
            started.secret = secret[0]
    return started


def test_events_are_forwarded_signed_and_in_order_and_none_is_left_out_while_the_gateway_is_away(
    rialto: Rialto,
) -> None:
    with Receiver() as hook:
        listener = listening(rialto, hook)
        try:
            first = paid(rialto, "--card", "tok_approve", "--manual")["id"]
            assert eventually(lambda: types_of(hook, first) == ["payment.authorised"], "it is forwarded")
            rialto.kill("gateway")
            rialto.wait_until_ready()
            second = paid(rialto, "--card", "tok_approve")["id"]
            expected = ["payment.authorised", "payment.captured", "payment.settled"]
            assert eventually(lambda: types_of(hook, second) == expected, "nothing is left out")
            assert types_of(hook, first) == ["payment.authorised"]
            for each in hook.taken:
                assert Webhook(listener.secret).verify(each.body, each.headers)["id"].startswith("evt_")
        finally:
            listener.process.send_signal(signal.SIGINT)
            shown, told = listener.process.communicate(timeout=30)
    assert "it is asked again" in told
    assert "go on with --since" in told
    assert re.search(rf"payment\.captured +{second}  evt_\w+  204 in \d+ ms", shown), shown


def test_what_happened_before_is_forwarded_too_where_it_is_asked_for(rialto: Rialto) -> None:
    payment = json_of(rialto, "trigger", "payment.declined")["payment"]["id"]
    with Receiver(refuse_first=1_000) as hook:
        given = ("listen", "--since", "10m", "--no-follow", "--forward-to", hook.url, "-t", "payment.declined")
        result = said(rialto, *given)
    assert result.exit_code == 0, result.output
    assert types_of(hook, payment) == ["payment.declined"]
    assert re.search(rf"payment\.declined +{payment}  evt_\w+  500 in", result.stdout)
    result = said(rialto, "listen", "--since", "10m", "--count", "1", "--forward-to", "http://127.0.0.1:9/", "--json")
    [line] = result.stdout.splitlines()
    assert json.loads(line)["forwarded"]["error"]


def test_every_event_of_ours_can_be_triggered_or_it_is_said_how_it_comes_about(rialto: Rialto) -> None:
    told = set(json_of(rialto, "trigger"))
    assert told == set(RECIPES)
    assert set(MESSAGES.values()) <= {*RECIPES, *CANNOT}
    assert all(token in TOKENS for recipe in RECIPES.values() for token in re.findall(r"tok_\w+", recipe.says))


@pytest.mark.parametrize("kind", [name for name in RECIPES if name in (*MESSAGES.values(), *ATTEMPTS)])
def test_an_event_is_triggered_by_a_real_payment(rialto: Rialto, kind: str) -> None:
    made = json_of(rialto, "trigger", kind)
    assert made["type"] == kind
    payment = made["payment"]
    if kind.startswith("attempt."):
        assert "unknown" in {line["status"] for line in payment["timeline"]}
        # Its capture, a later attempt, may be just under way.
        [authorising] = [attempt["status"] for attempt in payment["attempts"] if attempt["step"] == "authorise"]
        assert authorising == "succeeded" or kind == "attempt.unknown"
        return
    assert (made["event"]["type"], made["event"]["data"]["id"]) == (kind, payment["id"])
    assert kind in {event["type"] for event in _events(rialto, payment["id"])}


def _events(rialto: Rialto, payment_id: str) -> list[dict[str, Any]]:
    result = said(rialto, "listen", "--since", "1h", "--no-follow", "--json")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    return [event for event in events if event["data"]["id"] == payment_id]


def test_the_environment_for_a_merchants_own_code_is_printed(rialto: Rialto) -> None:
    found = json_of(rialto, "env")
    assert found["RIALTO_URL"] == rialto.url
    assert found["RIALTO_KEY"].startswith("sk_test_")
    lines = said(rialto, "env").stdout.splitlines()
    assert f"export RIALTO_WALLET={found['RIALTO_WALLET']}" in lines
    # With these, the platform here is known to be meant: a review can be decided, which no merchant's key can.
    reviewed = ["payments", "trigger", "payment.review_closed", "--data-dir", str(rialto.data_dir)]
    assert runner.invoke(build(), reviewed, env=found).exit_code == 0
    # A key and an address of the environment are taken before those of the platform here.
    other = runner.invoke(build(), ["payments", "list"], env={"RIALTO_URL": rialto.url, "RIALTO_KEY": "sk_test_other"})
    assert "does not know the key" in refused(other).what


def test_it_runs_as_a_program_too(rialto: Rialto) -> None:
    result = rialto.run("payments", "get", "pay_nonsense")
    assert result.returncode == 1
    assert re.fullmatch(r"(.+\.)\n  Why:  .+\.\n  Next: .+\.\n", result.stderr), result.stderr
