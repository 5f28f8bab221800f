"""Every error has a status, a code of its own, and says truthfully whether to try again."""

import re
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pkgutil import walk_packages

import orjson
import pytest

from rialto_common import keyring
from rialto_common.errors import InvariantViolated, PaymentError
from rialto_common.problems import STATUSES, problem, problem_of, status_of

SERVICES = ("gateway", "ledger", "fraud", "compliance", "chain_bridge")


def all_errors() -> list[type[PaymentError]]:
    """Return every error class of the library and of the services that are installed beside it."""
    assert keyring
    for service in SERVICES:
        found = find_spec(f"rialto_{service}")
        places = found.submodule_search_locations if found is not None else None
        for module in walk_packages(places, f"rialto_{service}."):
            # Wherever it is defined: a folder of errors is a habit, not a rule.
            if not module.name.endswith(".__main__"):
                import_module(module.name)
    return sorted({*walk(PaymentError)}, key=lambda error: (error.__module__, error.__name__))


def walk(parent: type[PaymentError]) -> Iterator[type[PaymentError]]:
    yield parent
    for child in parent.__subclasses__():
        if child.__module__.startswith("rialto_"):
            yield from walk(child)


ERRORS = all_errors()
EACH = pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)


def test_the_walk_finds_the_errors_of_the_library_and_of_the_services() -> None:
    modules = {error.__module__ for error in ERRORS}
    assert {"rialto_common.errors", "rialto_common.keyring"} <= modules
    assert len(modules) > 2


@EACH
def test_each_error_has_a_status_that_fits_whether_to_try_again(error: type[PaymentError]) -> None:
    status = status_of(error.__new__(error))
    assert 400 <= status < 600
    # A conflict passes where the first of two requests is under way, and only there.
    assert error.retryable == (status in (429, 503)) or (status == 409 and error.retryable)
    nearest = next(parent for parent in error.__mro__ if parent in STATUSES)
    assert status == STATUSES[nearest]


@EACH
def test_each_error_has_a_snake_case_code(error: type[PaymentError]) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", error.code)
    assert len(error.code) <= 64


PASSED_ON = "rialto_gateway.funds.errors"
"""The ledger's refusals as the gateway passes them on: the same reasons under the same codes."""


def test_no_two_errors_share_a_code() -> None:
    # One that names none is a case of its parent, and means the same to a caller.
    codes: dict[str, list[str]] = {}
    for error in (error for error in ERRORS if "code" in vars(error) and error.__module__ != PASSED_ON):
        codes.setdefault(error.code, []).append(f"{error.__module__}.{error.__name__}")
    assert {code: names for code, names in codes.items() if len(names) > 1} == {}


def test_what_is_passed_on_has_the_status_that_it_has_where_it_comes_from() -> None:
    elsewhere = {error.code: error for error in ERRORS if error.__module__ != PASSED_ON}
    passed_on = [error for error in ERRORS if error.__module__ == PASSED_ON and error.code in elsewhere]
    assert passed_on
    for error in passed_on:
        source = elsewhere[error.code]
        assert status_of(error("")) == status_of(source.__new__(source)), error


@EACH
def test_each_error_has_a_sentence_for_its_docs(error: type[PaymentError]) -> None:
    assert error.__doc__


def test_a_broken_invariant_is_no_refusal() -> None:
    assert not issubclass(InvariantViolated, PaymentError)


def test_a_problem_is_what_rfc_9457_says() -> None:
    answer = problem_of(PaymentError("the wallet is frozen", param="wallet_id"))
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.status_code == 400
    assert orjson.loads(answer.body) == {
        "type": "/docs/errors#payment_error",
        "doc_url": "/docs/errors#payment_error",
        "title": "Payment error",
        "status": 400,
        "detail": "the wallet is frozen",
        "code": "payment_error",
        "retryable": False,
        "param": "wallet_id",
    }


@pytest.mark.parametrize(
    ("status", "header", "value"), [(503, "Retry-After", "1"), (401, "WWW-Authenticate", "Bearer")]
)
def test_some_statuses_need_a_header(status: int, header: str, value: str) -> None:
    assert problem(status, "x", "y").headers[header] == value
    assert header not in problem(400, "x", "y").headers


def test_what_may_be_sent_again_says_when() -> None:
    assert problem(409, "x", "y", retryable=True, retry_after=7).headers["Retry-After"] == "7"
    assert "Retry-After" not in problem(409, "x", "y").headers
