"""Routing: which acquirer is asked, and in which order; how it has been doing; the file of rules."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from rialto_common import ids
from rialto_common.runtime import SystemRuntime
from rialto_gateway.attempts.ports import RouteAsked
from rialto_gateway.connectors.port import Answer, Declined, NotFound, NotSent, Pending, Succeeded, Unknown
from rialto_gateway.connectors.routes import Acquirer, Routed, RouteMetrics, RoutesInvalid, read_rules
from rialto_gateway.connectors.routing import HARD_DECLINES, Health, HealthPolicy, Rule, next_of, rule_for

from ..integration.scripted_acquirer import ScriptedAcquirer

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
POLICY = HealthPolicy(failures_to_open=2, outcomes=4, remembered=timedelta(minutes=1), cool_off=timedelta(seconds=10))
BOTH = Rule(("first", "second"))
ANSWERS: list[Answer] = [
    *(Succeeded("a", 1), Pending("a"), Declined("do_not_honour", "05"), NotSent("not_connected")),
    *(Unknown("timed_out"), NotFound()),
]


def after(*answers: Answer) -> Health:
    """Return the health after these answers, a second apart, up to NOW."""
    health = Health()
    for nth, answer in enumerate(answers):
        health = health.heard(answer, NOW - timedelta(seconds=len(answers) - 1 - nth), POLICY)
    return health


def chosen(rule: Rule = BOTH, tried: tuple[str, ...] = (), decline: str | None = None, **health: Health) -> str | None:
    return next_of(rule, {"first", "second"}, tried, decline, health, NOW)


def test_the_first_rule_that_matches_decides_and_both_ends_of_a_range_count() -> None:
    small = Rule(("s",), frozenset({"EUR"}), frozenset({"card"}), minimum_minor=10, maximum_minor=20)
    euro = Rule(("e", "spare"), frozenset({"EUR"}))
    assert [rule_for([small, euro], "EUR", amount, "card") for amount in (9, 10, 20, 21)] == [euro, small, small, euro]
    assert rule_for([small, euro], "EUR", 15, "bank") == euro
    assert rule_for([small, euro], "USD", 15, "card") is None


def test_one_that_fails_goes_last_until_its_trial_is_due_and_one_trial_is_taken() -> None:
    failing = after(Unknown("timed_out"), NotSent("not_connected"))
    assert (failing.condition(NOW), chosen(first=failing)) == ("open", "second")
    assert chosen(first=failing, second=failing) == "first", "better a doubtful one than none"
    assert chosen(first=failing, tried=("second",)) == "first"
    due = NOW + POLICY.cool_off
    assert failing.condition(due) == "half_open"
    trying = failing.tried(due, POLICY)
    assert trying.condition(due) == "open"
    assert trying.heard(Unknown("timed_out"), due, POLICY).condition(due) == "open"
    assert trying.heard(Declined("do_not_honour", "05"), due, POLICY).condition(due) == "closed"
    assert trying.heard(NotFound(), due, POLICY) == trying


def test_failures_count_among_the_last_outcomes_and_for_a_time() -> None:
    failed, worked = NotSent("not_connected"), Succeeded("a", 1)
    assert after(failed, worked, worked, failed).retry_at is not None
    assert after(failed, worked, worked, worked, worked, failed).retry_at is None, "five outcomes ago"
    old = Health(((NOW - timedelta(minutes=2), False),))
    assert old.heard(failed, NOW, POLICY).retry_at is None, "two minutes ago"


@given(st.lists(st.sampled_from(ANSWERS), max_size=30))
def test_health_is_bounded_and_only_failures_set_aside(answers: list[Answer]) -> None:
    health = after(*answers)
    assert len(health.outcomes) <= POLICY.outcomes
    if not any(isinstance(answer, NotSent | Unknown) for answer in answers):
        assert health.condition(NOW) == "closed"


def test_after_a_decline_another_is_asked_only_where_the_rule_says_so() -> None:
    soft = Rule(("first", "second"), retry_declines=frozenset({"do_not_honour"}))
    assert chosen(tried=("first",), decline="do_not_honour") is None
    assert chosen(soft, tried=("first",), decline="do_not_honour") == "second"
    assert chosen(soft, tried=("first",), decline="insufficient_funds") is None
    assert chosen(soft, tried=("first", "second"), decline="do_not_honour") is None
    for code in HARD_DECLINES:
        with pytest.raises(ValueError, match=code):
            Rule(("first",), retry_declines=frozenset({code}))


@pytest.mark.parametrize("names", [(), ("one", "one")])
def test_a_rule_names_at_least_one_acquirer_and_each_once(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="at least one acquirer"):
        Rule(names)


def test_a_range_or_a_policy_that_could_not_work_is_refused() -> None:
    with pytest.raises(ValueError, match="maximum_minor"):
        Rule(("one",), minimum_minor=2, maximum_minor=1)
    for wrong in ({"failures_to_open": 0}, {"failures_to_open": 9, "outcomes": 8}, {"cool_off": timedelta(0)}):
        with pytest.raises(ValueError, match="must be"):
            HealthPolicy(**wrong)


def routed(*rules: Rule) -> Routed:
    acquirers = [
        Acquirer(ScriptedAcquirer("harbour"), modes=["test"]),
        Acquirer(ScriptedAcquirer("quay"), modes=["test", "live"]),
    ]
    return Routed(acquirers, rules, SystemRuntime(), RouteMetrics(CollectorRegistry()))


def asked(mode: str = "test", tried: tuple[str, ...] = ()) -> RouteAsked:
    return RouteAsked(ids.uuid7(0, 0), mode, 100, "USD", tried)


def name(routes: Routed, question: RouteAsked) -> str | None:
    found = routes.choose(question)
    return None if found is None else found.name


def test_an_acquirer_takes_payments_of_its_modes_alone() -> None:
    assert [name(routed(), asked(mode)) for mode in ("test", "live")] == ["harbour", "quay"]
    assert name(routed(Rule(("harbour",))), asked("live")) is None
    assert routed().takes_cards("live")
    assert routed().named("harbour") is not None


def test_a_process_learns_who_is_down() -> None:
    routes = routed()
    for _ in range(HealthPolicy().failures_to_open):
        routes.sent("harbour")
        routes.heard("harbour", NotSent("not_connected"))
    assert name(routes, asked()) == "quay"
    assert name(routes, asked(tried=("quay",))) == "harbour"


def test_the_file_has_rules() -> None:
    text = """{"rules": [
        {"connectors": ["quay", "harbour"], "currencies": ["EUR"], "maximum_minor": "5000",
         "retry_declines": ["do_not_honour"]},
        {"connectors": ["harbour"]}
    ]}"""
    assert read_rules(text) == [
        Rule(("quay", "harbour"), frozenset({"EUR"}), None, 0, 5000, frozenset({"do_not_honour"})),
        Rule(("harbour",)),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "its beginning"),
        ("{}", "rules"),
        ('{"rules": []}', "rules"),
        ('{"rules": [{"connectors": []}]}', "rules.0.connectors"),
        ('{"rules": [{"connectors": ["a"], "curency": ["EUR"]}]}', "rules.0.curency"),
        ('{"rules": [{"connectors": ["a"], "maximum_minor": "-1"}]}', "rules.0.maximum_minor"),
        ('{"rules": [{"connectors": ["a", "a"]}]}', "each once"),
        ('{"rules": [{"connectors": ["a"], "retry_declines": ["card_expired"]}]}', "card_expired"),
    ],
)
def test_a_file_that_is_wrong_is_refused_and_says_where(text: str, says: str) -> None:
    with pytest.raises(RoutesInvalid, match=says):
        read_rules(text)


def test_a_rule_about_nobody_is_refused() -> None:
    with pytest.raises(RoutesInvalid, match="pier"):
        routed(Rule(("harbour", "pier")))
