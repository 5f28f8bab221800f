"""The acquirers of an installation, chosen by its rules and by how they have been doing, as this process saw it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from prometheus_client import CollectorRegistry, Counter, Gauge
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rialto_common.events.envelope import MinorUnits, MinorUnitsOrZero
from rialto_common.runtime import Runtime
from rialto_gateway.attempts.ports import RouteAsked
from rialto_gateway.connectors.port import Answer, Connector, NotFound, NotSent, Unknown
from rialto_gateway.connectors.routing import Health, HealthPolicy, Rule, next_of, rule_for

MODES = ("test", "live")


class RoutesInvalid(ValueError):
    """The routing file cannot be read, or names an acquirer that is not configured."""


@dataclass(frozen=True, slots=True)
class Acquirer:
    """A connector, and the modes whose payments it takes."""

    connector: Connector
    modes: Collection[str] = MODES


class RouteMetrics:
    """What is measured of acquirers' health by this process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._set_aside = Gauge(
            "rialto_connector_set_aside",
            "1 while an acquirer goes to the end of every route, as it has been failing",
            ["connector"],
            registry=registry,
        )
        self._failures = Gauge(
            "rialto_connector_recent_failures",
            "Failures among an acquirer's last outcomes",
            ["connector"],
            registry=registry,
        )
        self._outcomes = Counter(
            "rialto_connector_outcomes_total",
            "Questions to acquirers by whether an answer came",
            ["connector", "outcome"],
            registry=registry,
        )

    def stands(self, name: str, health: Health) -> None:
        """Show an acquirer's health."""
        self._set_aside.labels(name).set(health.retry_at is not None)
        self._failures.labels(name).set(health.failures)

    def counted(self, name: str, answer: Answer) -> None:
        """Count an outcome."""
        if not isinstance(answer, NotFound):
            self._outcomes.labels(name, "failed" if isinstance(answer, NotSent | Unknown) else "answered").inc()


class Routed:
    """Chooses acquirers. Without rules, all payments go to the acquirers in their order."""

    def __init__(
        self,
        acquirers: Sequence[Acquirer],
        rules: Sequence[Rule],
        runtime: Runtime,
        metrics: RouteMetrics,
        policy: HealthPolicy | None = None,
    ) -> None:
        """Raises: RoutesInvalid: a rule names an acquirer that is not among them."""
        self._by_name = {each.connector.name: each for each in acquirers}
        self._rules = rules or [Rule(tuple(self._by_name))]
        self._runtime = runtime
        self._metrics = metrics
        self._policy = policy or HealthPolicy()
        self._health: dict[str, Health] = {}
        for rule in self._rules:
            if missing := sorted(set(rule.connectors) - set(self._by_name)):
                raise RoutesInvalid(f"a route names {', '.join(missing)}, and no acquirer of that name is configured")
        for name in self._by_name:
            metrics.stands(name, Health())

    def takes_cards(self, mode: str) -> bool:
        """Whether a card can be charged at all in a mode."""
        return any(mode in each.modes for each in self._by_name.values())

    def names(self) -> Sequence[str]:
        """Return the names of all acquirers."""
        return list(self._by_name)

    def named(self, name: str) -> Connector | None:
        """Return an acquirer by its name, also one that no rule names."""
        found = self._by_name.get(name)
        return None if found is None else found.connector

    def choose(self, asked: RouteAsked) -> Connector | None:
        """Return the acquirer to ask for an authorisation; None where there is none that was not tried."""
        rule = rule_for(self._rules, asked.currency, asked.amount_minor, asked.method)
        if rule is None:
            return None
        usable = {name for name, each in self._by_name.items() if asked.mode in each.modes}
        name = next_of(rule, usable, asked.tried, asked.decline, self._health, self._runtime.now())
        return None if name is None else self.named(name)

    def sent(self, name: str) -> None:
        """A question goes out."""
        self._health[name] = self._health.get(name, Health()).tried(self._runtime.now(), self._policy)

    def heard(self, name: str, answer: Answer) -> None:
        """An acquirer has answered a question or a look-up, or has not."""
        health = self._health.get(name, Health()).heard(answer, self._runtime.now(), self._policy)
        self._health[name] = health
        self._metrics.stands(name, health)
        self._metrics.counted(name, answer)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _RuleIn(_Strict):
    """A rule as the file has it."""

    connectors: Annotated[list[str], Field(min_length=1)]
    currencies: Annotated[list[str], Field(min_length=1)] | None = None
    methods: Annotated[list[str], Field(min_length=1)] | None = None
    minimum_minor: MinorUnitsOrZero = 0
    maximum_minor: MinorUnits | None = None
    retry_declines: list[str] = []

    def rule(self) -> Rule:
        return Rule(
            connectors=tuple(self.connectors),
            currencies=None if self.currencies is None else frozenset(self.currencies),
            methods=None if self.methods is None else frozenset(self.methods),
            minimum_minor=self.minimum_minor,
            maximum_minor=self.maximum_minor,
            retry_declines=frozenset(self.retry_declines),
        )


class _RulesIn(_Strict):
    """The file."""

    rules: Annotated[list[_RuleIn], Field(min_length=1)]


def read_rules(text: str) -> list[Rule]:
    """Return the rules of a routing file: `{"rules": [{"connectors": ["sim"], "currencies": ["USD"], …}, …]}`.

    Raises: RoutesInvalid.
    """
    try:
        return [each.rule() for each in _RulesIn.model_validate_json(text).rules]
    except ValidationError as error:
        found: Mapping[str, Any] = dict(error.errors(include_url=False)[0])
        place = ".".join(str(part) for part in found["loc"])
        raise RoutesInvalid(f"the routing file is wrong at {place or 'its beginning'}: {found['msg']}") from error
    except ValueError as error:
        raise RoutesInvalid(f"the routing file is wrong: {error}") from error
