"""Service tokens: who calls whom, for a minute, and nobody else can say so."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import timedelta
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rialto_common.errors import Unauthenticated
from rialto_common.service_tokens import LIFETIME, Caller, ServiceTokens
from rialto_common.simulation import SimulatedRuntime
from rialto_common.testing import START, root_of

SECRET = "a secret of this test, " * 3
MERCHANT = Caller("gateway", root_of(1), "test")
OPERATOR = Caller("cli", None, "live")


@pytest.fixture
def runtime() -> SimulatedRuntime:
    return SimulatedRuntime(1)


@pytest.fixture
def tokens(runtime: SimulatedRuntime) -> ServiceTokens:
    return ServiceTokens(SECRET, runtime)


@pytest.mark.parametrize("caller", [MERCHANT, OPERATOR], ids=["merchant", "operator"])
def test_the_other_side_learns_who_calls(tokens: ServiceTokens, caller: Caller) -> None:
    other_side = ServiceTokens(SECRET, SimulatedRuntime(2))
    assert other_side.check(tokens.issue(caller, audience="ledger"), audience="ledger") == caller


async def test_a_token_is_good_for_a_minute_by_the_runtime_s_clock(
    tokens: ServiceTokens, runtime: SimulatedRuntime
) -> None:
    token = tokens.issue(MERCHANT, audience="ledger")
    await runtime.sleep(LIFETIME.total_seconds())
    assert tokens.check(token, audience="ledger") == MERCHANT
    await runtime.sleep(1)
    with pytest.raises(Unauthenticated, match="expired"):
        tokens.check(token, audience="ledger")


@pytest.mark.parametrize("audience", ["gateway", "Ledger", "", "ledger "])
def test_a_token_for_one_service_opens_no_other(tokens: ServiceTokens, audience: str) -> None:
    with pytest.raises(Unauthenticated):
        tokens.check(tokens.issue(MERCHANT, audience="ledger"), audience=audience)


def test_another_installations_token_is_refused(tokens: ServiceTokens, runtime: SimulatedRuntime) -> None:
    with pytest.raises(Unauthenticated):
        tokens.check(ServiceTokens(SECRET[::-1], runtime).issue(MERCHANT, audience="ledger"), audience="ledger")


def good_claims() -> dict[str, Any]:
    return {"iss": "cli", "aud": "ledger", "mode": "test", "iat": START, "exp": START + timedelta(seconds=60)}


def test_the_claims_of_the_next_tests_are_good_but_for_what_each_changes(tokens: ServiceTokens) -> None:
    assert tokens.check(jwt.encode(good_claims(), SECRET, "HS256"), audience="ledger").merchant_id is None


@pytest.mark.parametrize("missing", ["iss", "aud", "exp", "mode"])
def test_a_token_without_a_claim_is_refused(tokens: ServiceTokens, missing: str) -> None:
    claims = good_claims()
    del claims[missing]
    with pytest.raises(Unauthenticated):
        tokens.check(jwt.encode(claims, SECRET, "HS256"), audience="ledger")


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": "tomorrow"},
        {"exp": None},
        {"exp": []},
        {"exp": {"at": 1}},
        {"merchant": "mer_1"},
        {"merchant": None},
        {"merchant": 7},
        {"merchant": ""},
        {"iss": 7},
        {"mode": "both"},
        {"mode": 7},
        {"mode": ["test"]},
    ],
    ids=str,
)
def test_a_claim_of_another_form_is_refused(tokens: ServiceTokens, changes: dict[str, Any]) -> None:
    # By hand, as the library would not sign some of these.
    header = {"alg": "HS256", "typ": "JWT"}
    claims = good_claims() | {"iat": 0, "exp": int((START + timedelta(seconds=60)).timestamp())} | changes
    signed = jwt.api_jws.encode(json.dumps(claims).encode(), SECRET, "HS256", headers=header)
    with pytest.raises(Unauthenticated):
        tokens.check(signed, audience="ledger")


@pytest.mark.parametrize("algorithm", ["none", "HS512", "HS384"])
def test_only_our_algorithm_counts(tokens: ServiceTokens, algorithm: str) -> None:
    key: Any = None if algorithm == "none" else SECRET
    with pytest.raises(Unauthenticated):
        tokens.check(jwt.encode(good_claims(), key, algorithm), audience="ledger")


def test_a_signature_cannot_be_left_out(tokens: ServiceTokens) -> None:
    header, payload, _ = tokens.issue(MERCHANT, audience="ledger").split(".")
    unsigned = urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    for forged in (f"{header}.{payload}.", f"{header}.{payload}", f"{unsigned}.{payload}."):
        with pytest.raises(Unauthenticated):
            tokens.check(forged, audience="ledger")


def test_a_merchant_cannot_make_itself_the_operator(tokens: ServiceTokens) -> None:
    header, payload, signature = tokens.issue(MERCHANT, audience="ledger").split(".")
    claims = json.loads(urlsafe_b64decode(payload + "=="))
    del claims["merchant"]
    forged = urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    with pytest.raises(Unauthenticated):
        tokens.check(f"{header}.{forged}.{signature}", audience="ledger")


@given(st.integers(0, 10_000), st.characters(codec="ascii", min_codepoint=33))
def test_a_token_with_another_character_anywhere_is_refused(position: int, character: str) -> None:
    tokens = ServiceTokens(SECRET, SimulatedRuntime(1))
    token = tokens.issue(MERCHANT, audience="ledger")
    place = position % (len(token) - 1)  # the last one's lowest bits mean nothing in base64
    altered = token[:place] + character + token[place + 1 :]
    if altered != token:
        with pytest.raises(Unauthenticated):
            tokens.check(altered, audience="ledger")


@given(st.text(max_size=200))
def test_text_that_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(Unauthenticated):
        ServiceTokens(SECRET, SimulatedRuntime(1)).check(text, audience="ledger")
