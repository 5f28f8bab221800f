"""What the gateway may rely on of an acquirer; the simulated one, a process, and Stripe, a stand-in, are held to it."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic

import httpx
import pytest
from aiohttp import web

from rialto_cli.acquirer_sim.tokens import DECLINES, FAULTS
from rialto_cli.embedded.processes import free_ports
from rialto_common import ids
from rialto_common.runtime import SystemRuntime
from rialto_gateway.connectors.disputes import DisputeConnector, Standing
from rialto_gateway.connectors.port import (
    ActionRequired,
    Answer,
    Authorise,
    Capture,
    Connector,
    Declined,
    Increment,
    NotFound,
    NotSent,
    Pending,
    Question,
    Refund,
    Succeeded,
    Unknown,
    Void,
)
from rialto_gateway.connectors.simulated import CODES, SimulatedAcquirer, read_webhook
from rialto_gateway.connectors.stripe_acquirer import StripeAcquirer
from rialto_gateway.connectors.webhooks import Heard, WebhookInvalid
from rialto_gateway.settlement_files.file import parse

from ..acquirer_process import KEY, WEBHOOK_SECRET, Process
from ..stripe_stand_in import KEY as STRIPE_KEY
from ..stripe_stand_in import StripeStandIn

TIMEOUT_SECONDS = 0.5


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One acquirer for all."""
    running = Process(tmp_path_factory.mktemp("acquirer"))
    yield running
    assert running.end() == 0


@pytest.fixture
async def http(process: Process) -> AsyncIterator[httpx.AsyncClient]:
    """The way to it."""
    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=process.url, headers=headers, timeout=TIMEOUT_SECONDS) as client:
        yield client


@pytest.fixture
async def stand_in() -> AsyncIterator[StripeStandIn]:
    """A stand-in for Stripe."""
    running = StripeStandIn()
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def at_stripe(stand_in: StripeStandIn) -> AsyncIterator[StripeAcquirer]:
    """Stripe's connector, at the stand-in."""
    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as client:
        yield StripeAcquirer(client, STRIPE_KEY, SystemRuntime(), stand_in.url)


@pytest.fixture
def at_sim(http: httpx.AsyncClient) -> SimulatedAcquirer:
    """The simulated acquirer's connector."""
    return SimulatedAcquirer(http)


@pytest.fixture(params=["at_sim", "at_stripe"])
def connector(request: pytest.FixtureRequest) -> Connector:
    """The connector under test."""
    found: Connector = request.getfixturevalue(request.param)
    return found


class References:
    """References that nobody has used."""

    mint = SystemRuntime().ids.mint

    @classmethod
    def new(cls) -> str:
        return ids.to_text("att", cls.mint())


def asked(token: str, amount_minor: int = 1250) -> Authorise:
    """Return a new question."""
    return Authorise(References.new(), amount_minor, "USD", token)


async def put(connector: Connector, question: Question) -> Answer:
    """Put a question to an acquirer."""
    match question:
        case Authorise():
            return await connector.authorise(question)
        case Increment():
            return await connector.increment(question)
        case Capture():
            return await connector.capture(question)
        case Void():
            return await connector.void(question)
        case Refund():
            return await connector.refund(question)


async def held(connector: Connector, token: str = "tok_approve", amount_minor: int = 1250) -> str:
    """Return the acquirer's reference of a new authorisation."""
    answer = await connector.authorise(asked(token, amount_minor))
    assert isinstance(answer, Succeeded)
    return answer.connector_reference


def following(step: str, authorisation: str, amount_minor: int = 1250) -> Question:
    """Return a question about an authorisation."""
    reference = References.new()
    match step:
        case "capture":
            return Capture(reference, authorisation, amount_minor, "USD", final=True)
        case "void":
            return Void(reference, authorisation)
        case _:
            return Refund(reference, authorisation, amount_minor, "USD")


async def test_the_same_reference_moves_money_once(connector: Connector) -> None:
    question = asked("tok_approve")
    first, again = await connector.authorise(question), await connector.authorise(question)
    assert isinstance(first, Succeeded)
    assert first == again
    capture = following("capture", first.connector_reference, 1000)
    assert await put(connector, capture) == await put(connector, capture)
    beyond = following("capture", first.connector_reference, 300)
    assert isinstance(await put(connector, beyond), Declined)
    other = await connector.authorise(replace(question, amount_minor=1300))
    assert other == Unknown("reference_reused")
    elsewhere = Capture(capture.reference, await held(connector), 1000, "USD", final=True)
    assert await put(connector, elsewhere) == Unknown("reference_reused")


@pytest.mark.parametrize("code", DECLINES)
async def test_each_decline_is_told_in_our_words(connector: Connector, code: str) -> None:
    question = asked(f"tok_decline_{code}")
    answer = await connector.authorise(question)
    assert isinstance(answer, Declined)
    assert (answer.code, answer.retry_elsewhere) == (CODES[code], code == "issuer_unavailable")
    assert await connector.lookup(question) == answer


async def test_a_token_that_nobody_knows_is_no_card(connector: Connector) -> None:
    answer = await connector.authorise(asked("tok_nonsense"))
    assert isinstance(answer, Declined)
    assert answer.code == "card_invalid"


@pytest.mark.parametrize("step", ["authorise", "capture", "void", "refund"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_what_is_done_without_an_answer_is_unknown_and_found(connector: Connector, step: str, fault: str) -> None:
    question = await _question(connector, step, fault, "after")
    assert isinstance(await put(connector, question), Unknown)
    found = await connector.lookup(question)
    assert isinstance(found, Succeeded)
    # Stripe answers a key with its first answer for ever, also where that was a 500.
    assert await put(connector, question) in (found, Unknown("http_500"))
    assert await connector.lookup(question) == found


@pytest.mark.parametrize("step", ["authorise", "capture", "void", "refund"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_what_is_not_done_is_unknown_and_then_done_once_or_never(
    connector: Connector, step: str, fault: str
) -> None:
    """The request may be under way still when it is looked up: arriving after that, it is refused.

    A look-up may also do what was asked for, where the reference is acted on once; an authorisation it may not.
    """
    question = await _question(connector, step, fault, "before")
    assert isinstance(await put(connector, question), Unknown)
    found = await connector.lookup(question)
    if isinstance(found, Succeeded):
        assert step != "authorise"
        assert await put(connector, question) == found
        assert await connector.lookup(question) == found
        return
    assert found == NotFound()
    if isinstance(question, Authorise):
        late = question if connector.name == "stripe" else replace(question, token="tok_approve")
        assert await put(connector, late) in (NotSent("reference_forgotten"), Unknown("http_500"))
    assert await connector.lookup(question) == NotFound()


async def _question(connector: Connector, step: str, fault: str, when: str) -> Question:
    if step == "authorise":
        return asked(f"tok_{fault}_{when}")
    authorisation = await held(connector, f"tok_{step}_{fault}_{when}")
    if step == "refund":
        assert isinstance(await put(connector, following("capture", authorisation)), Succeeded)
    return following(step, authorisation)


async def test_capture_void_and_refund_keep_within_what_there_is(connector: Connector) -> None:
    authorisation = await held(connector)
    assert isinstance(await put(connector, following("refund", authorisation, 1)), Declined)
    part = Capture(References.new(), authorisation, 500, "USD", final=False)
    assert isinstance(await connector.capture(part), Succeeded)
    assert isinstance(await put(connector, following("refund", authorisation, 501)), Declined)
    assert isinstance(await put(connector, following("refund", authorisation, 500)), Succeeded)
    assert isinstance(await put(connector, following("void", authorisation)), Succeeded)
    assert isinstance(await put(connector, following("capture", authorisation, 1)), Declined)
    assert isinstance(await put(connector, following("capture", "auth_nonsense")), Declined)


async def test_a_payer_confirms_or_refuses(at_sim: SimulatedAcquirer, http: httpx.AsyncClient) -> None:
    for answer, expected in (("approve", Succeeded), ("reject", Declined)):
        question = asked("tok_3ds")
        challenged = await at_sim.authorise(question)
        assert isinstance(challenged, ActionRequired)
        assert await at_sim.lookup(question) == challenged
        assert (await http.get(challenged.url)).is_success
        assert (await http.post(challenged.url, data={"answer": answer})).is_success
        assert isinstance(await at_sim.lookup(question), expected)


async def test_a_challenge_that_was_voided_is_not_confirmed_any_more(
    at_sim: SimulatedAcquirer, http: httpx.AsyncClient
) -> None:
    question = asked("tok_3ds")
    challenged = await at_sim.authorise(question)
    assert isinstance(challenged, ActionRequired)
    assert isinstance(await put(at_sim, following("void", challenged.connector_reference)), Succeeded)
    await http.post(challenged.url, data={"answer": "approve"})
    assert isinstance(await at_sim.lookup(question), Declined)


@pytest.mark.parametrize("token", ["tok_late_approve", "tok_3ds"])
async def test_a_void_that_was_forgotten_lets_nothing_go(
    at_sim: SimulatedAcquirer, http: httpx.AsyncClient, token: str
) -> None:
    question = asked(token)
    opened = await at_sim.authorise(question)
    assert isinstance(opened, Pending | ActionRequired)
    late = following("void", opened.connector_reference)
    assert await at_sim.lookup(late) == NotFound()
    assert await put(at_sim, late) == NotSent("reference_forgotten")
    if isinstance(opened, ActionRequired):
        await http.post(opened.url, data={"answer": "approve"})
    deadline = monotonic() + 10
    while isinstance(answer := await at_sim.lookup(question), Pending):
        assert monotonic() < deadline
    assert isinstance(answer, Succeeded)


async def test_nothing_is_voided_of_what_was_captured_in_whole(connector: Connector) -> None:
    authorisation = await held(connector)
    assert isinstance(await put(connector, following("capture", authorisation)), Succeeded)
    answer = await put(connector, following("void", authorisation))
    assert isinstance(answer, Declined)
    assert answer.code == "declined_by_acquirer"


@pytest.mark.parametrize(("token", "expected"), [("tok_late_approve", Succeeded), ("tok_late_decline", Declined)])
async def test_a_late_decision_is_pending_until_it_is_made(
    at_sim: SimulatedAcquirer, token: str, expected: type[Answer]
) -> None:
    question = asked(token)
    assert isinstance(await at_sim.authorise(question), Pending)
    deadline = monotonic() + 10
    while isinstance(answer := await at_sim.lookup(question), Pending):
        assert monotonic() < deadline
    assert isinstance(answer, expected)


async def test_a_key_that_is_refused_has_done_nothing(process: Process) -> None:
    async with httpx.AsyncClient(base_url=process.url, timeout=TIMEOUT_SECONDS) as without_key:
        assert await SimulatedAcquirer(without_key).authorise(asked("tok_approve")) == NotSent(
            "acquirer_refuses_our_key"
        )


async def test_an_acquirer_that_is_killed_has_what_it_answered_and_does_it_once(tmp_path: Path) -> None:
    running = Process(tmp_path)
    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=running.url, headers=headers, timeout=TIMEOUT_SECONDS) as http:
        connector, question, unknown = SimulatedAcquirer(http), asked("tok_approve"), asked("tok_timeout_after")
        answer = await connector.authorise(question)
        assert isinstance(await connector.authorise(unknown), Unknown)
        running.end(signal.SIGKILL)
        assert await connector.authorise(asked("tok_approve")) == NotSent("not_connected")
        assert isinstance(await connector.lookup(question), Unknown)
        running.start()
        assert await connector.authorise(question) == answer
        assert isinstance(await connector.lookup(unknown), Succeeded)
    assert running.end() == 0


async def test_the_settlement_file_has_what_moved_money_and_its_costs(
    at_sim: SimulatedAcquirer, http: httpx.AsyncClient
) -> None:
    authorisation = await held(at_sim, amount_minor=10_000)
    capture, refund = following("capture", authorisation, 10_000), following("refund", authorisation, 2_500)
    for question in (capture, refund):
        assert isinstance(await put(at_sim, question), Succeeded)
    back = {"reference": References.new(), "authorisation": authorisation, "amount_minor": "100", "currency": "USD"}
    assert (await http.post("/test/chargebacks", json=back)).is_success
    made = (await http.post("/v1/settlement_files", json={})).json()
    body = (await http.get(f"/v1/settlement_files/{made['id']}")).content
    file = parse(body)
    assert (file.name, len(file.lines)) == (made["id"], made["lines"])
    ours = [
        (line.reference, line.kind, line.currency, line.gross_minor, line.fee_minor, line.net_minor)
        for line in file.lines
        if line.authorisation == authorisation
    ]
    assert ours == [
        (capture.reference, "captured", "USD", 10_000, 120, 9_880),
        (refund.reference, "refunded", "USD", -2_500, 0, -2_500),
        (back["reference"], "chargeback", "USD", -100, 0, -100),
    ]
    assert (await http.post("/v1/settlement_files", json={})).json() == {"id": None, "lines": 0}, "settled once"
    assert (await http.get(f"/v1/settlement_files/{made['id']}")).content == body
    assert (await http.get("/v1/settlement_files/sf_none")).status_code == 404


class Receiver:
    """Takes webhooks after refusing the first of each, and keeps what they say, in the order of their arrival."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Heard]] = []
        self.disputes: list[Standing] = []
        self.raw: list[tuple[bytes, dict[str, str]]] = []
        self._refused: set[str] = set()

    async def take(self, request: web.Request) -> web.Response:
        """Take one."""
        body, headers = await request.read(), {name.lower(): value for name, value in request.headers.items()}
        self.raw.append((body, headers))
        if headers["webhook-id"] not in self._refused:
            self._refused.add(headers["webhook-id"])
            return web.Response(status=500)
        said = read_webhook(WEBHOOK_SECRET, body, headers)
        if isinstance(said.says, Standing):
            self.disputes.append(said.says)
        else:
            self.heard.append((headers["webhook-id"], said))
        return web.Response(status=204)

    def of(self, reference: str) -> list[Answer]:
        """Return what was heard of a reference."""
        said = [heard.says for _, heard in self.heard if heard.reference == reference]
        return [each for each in said if not isinstance(each, Standing)]

    def of_dispute(self, reference: str) -> list[str]:
        """Return how a dispute was said to stand."""
        return [standing.status for standing in self.disputes if standing.reference == reference]


async def test_webhooks_are_signed_come_again_and_twice_and_out_of_order_where_asked(tmp_path: Path) -> None:
    receiver, app = Receiver(), web.Application()
    app.router.add_post("/", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    [port] = free_ports(1)
    await web.TCPSite(runner, "127.0.0.1", port).start()
    running = await asyncio.to_thread(Process, tmp_path, f"http://127.0.0.1:{port}/")
    try:
        headers = {"Authorization": f"Bearer {KEY}"}
        async with httpx.AsyncClient(base_url=running.url, headers=headers, timeout=5) as http:
            connector = SimulatedAcquirer(http)
            late, twice, reordered = asked("tok_late_approve"), asked("tok_duplicate"), asked("tok_out_of_order")
            for question in (late, twice, reordered):
                await connector.authorise(question)
            async with asyncio.timeout(30):
                while [len(receiver.of(each.reference)) for each in (late, twice, reordered)] != [2, 2, 2]:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert [type(answer) for answer in receiver.of(late.reference)] == [Pending, Succeeded]
            assert [type(answer) for answer in receiver.of(twice.reference)] == [Succeeded, Succeeded]
            assert len({message_id for message_id, heard in receiver.heard if heard.reference == twice.reference}) == 1
            assert [type(answer) for answer in receiver.of(reordered.reference)] == [Succeeded, Pending]
            assert await connector.lookup(late) == receiver.of(late.reference)[-1]
            disputes = {}
            for token in ("tok_duplicate", "tok_out_of_order"):
                disputes[token] = await disputed(http, await captured(connector, f"disputed_{token}", token))
                await connector.submit_evidence(disputes[token], {"other": "sent by post"})
            async with asyncio.timeout(30):
                while [len(receiver.of_dispute(each)) for each in disputes.values()] != [4, 2]:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            told = receiver.of_dispute(disputes["tok_duplicate"])
            assert sorted(told) == ["needs_response"] * 2 + ["under_review"] * 2
            assert receiver.of_dispute(disputes["tok_out_of_order"]) == ["under_review", "needs_response"]
        body, signed = receiver.raw[-1]
        for forged in ((body + b" ", signed), (body, signed | {"webhook-id": "msg_other"}), (body, {})):
            with pytest.raises(WebhookInvalid):
                read_webhook(WEBHOOK_SECRET, *forged)
    finally:
        assert running.end() == 0
        await runner.cleanup()


# Disputes.


async def captured(connector: Connector, name: str, token: str = "tok_approve") -> str:
    """Have 1,000 captured; return the acquirer's reference of the authorisation."""
    held = await connector.authorise(Authorise(f"att_{name}", 1000, "USD", token))
    while not isinstance(held, Succeeded):
        await asyncio.sleep(0.05)
        held = await connector.lookup(Authorise(f"att_{name}", 1000, "USD", token))
    capture = Capture(f"att_{name}_capture", held.connector_reference, 1000, "USD", True)
    assert isinstance(await connector.capture(capture), Succeeded)
    return held.connector_reference


async def disputed(client: httpx.AsyncClient, authorisation: str, **more: object) -> str:
    """Have the cardholder dispute 600; return the acquirer's reference of the dispute."""
    body = {"authorisation": authorisation, "amount_minor": "600", "reason": "not_received"} | more
    answer = await client.post("/test/disputes", json=body)
    assert answer.status_code == 200, answer.text
    reference: str = answer.json()["id"]
    return reference


async def test_a_dispute_is_answered_once_and_decided(http: httpx.AsyncClient) -> None:
    connector = SimulatedAcquirer(http)
    asked: DisputeConnector = connector
    reference = await disputed(http, await captured(connector, "disputed"))
    found = await asked.look_up_dispute(reference)
    assert isinstance(found, Standing)
    assert (found.reference, found.attempt, found.amount_minor, found.currency, found.reason, found.status) == (
        reference,
        "att_disputed",
        600,
        "USD",
        "product_not_received",
        "needs_response",
    )
    for evidence in ({"other": "sent by post"}, {"other": "something else"}):
        answered = await asked.submit_evidence(reference, evidence)
        assert answered == replace(found, status="under_review")
    assert (await http.post(f"/test/disputes/{reference}/close", json={"outcome": "won"})).status_code == 200
    for again in (await asked.look_up_dispute(reference), await asked.accept_dispute(reference)):
        assert again == replace(found, status="won"), "how it ended stays"
    assert isinstance(await asked.look_up_dispute("dsp_of_nobody"), NotFound)


async def test_a_dispute_that_is_given_up_or_not_answered_is_lost_and_in_the_next_file(http: httpx.AsyncClient) -> None:
    connector = SimulatedAcquirer(http)
    given_up = await disputed(http, await captured(connector, "given_up"))
    unanswered = await disputed(http, await captured(connector, "unanswered"), respond_within_seconds=0)
    lost = [await connector.accept_dispute(given_up), await connector.look_up_dispute(unanswered)]
    assert [isinstance(each, Standing) and each.status for each in lost] == ["lost", "lost"]
    late = await connector.submit_evidence(unanswered, {"other": "too late"})
    assert isinstance(late, Standing)
    assert late.status == "lost"
    made = (await http.post("/v1/settlement_files", json={})).json()
    lines = parse((await http.get(f"/v1/settlement_files/{made['id']}")).content).lines
    for reference in (given_up, unanswered):
        [line] = [line for line in lines if line.reference == reference]
        assert (line.kind, line.currency, line.gross_minor) == ("chargeback", "USD", -600)


async def test_more_than_was_captured_cannot_be_disputed(http: httpx.AsyncClient) -> None:
    authorisation = await captured(SimulatedAcquirer(http), "above")
    body = {"authorisation": authorisation, "amount_minor": "1001"}
    assert (await http.post("/test/disputes", json=body)).status_code == 409


async def test_an_authorisation_is_raised_to_a_total_once_and_can_be_captured_in_full(connector: Connector) -> None:
    authorisation = await held(connector)
    question = Increment(References.new(), authorisation, 1800, "USD")
    first, again = await connector.increment(question), await connector.increment(question)
    assert isinstance(first, Succeeded)
    assert (first, first.amount_minor) == (again, 1800)
    assert await connector.lookup(question) == first
    assert isinstance(await connector.increment(replace(question, reference=References.new())), Declined)
    more = Increment(References.new(), authorisation, 1900, "USD")
    assert isinstance(await connector.increment(more), Succeeded)
    captured = await connector.capture(Capture(References.new(), authorisation, 1900, "USD", final=True))
    assert isinstance(captured, Succeeded)


async def test_a_declined_increment_leaves_the_authorisation_as_it_was(connector: Connector) -> None:
    authorisation = await held(connector, "tok_increment_decline")
    question = Increment(References.new(), authorisation, 1800, "USD")
    declined = await connector.increment(question)
    assert isinstance(declined, Declined)
    assert declined.code == "insufficient_funds"
    assert await connector.lookup(question) == declined
    above = await connector.capture(Capture(References.new(), authorisation, 1251, "USD", final=True))
    assert isinstance(above, Declined)
    within = await connector.capture(Capture(References.new(), authorisation, 1250, "USD", final=True))
    assert isinstance(within, Succeeded)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_what_became_of_a_lost_increment_is_found_out(connector: Connector, fault: str, when: str) -> None:
    authorisation = await held(connector, f"tok_increment_{fault}_{when}")
    question = Increment(References.new(), authorisation, 1800, "USD")
    assert isinstance(await connector.increment(question), Unknown)
    found = await connector.lookup(question)
    # What did not come Stripe is asked for again, under its key; the simulated acquirer never acts on it any more.
    done = when == "after" or (isinstance(connector, StripeAcquirer) and fault != "error")
    assert isinstance(found, Succeeded) if done else found == NotFound()
    burnt = isinstance(connector, StripeAcquirer) and fault == "error"
    assert isinstance(await connector.increment(question), Succeeded) == (done and not burnt)
    captured = await connector.capture(Capture(References.new(), authorisation, 1800, "USD", final=True))
    assert isinstance(captured, Succeeded) == done
