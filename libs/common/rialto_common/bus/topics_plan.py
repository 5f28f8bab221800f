"""What has to change for a cluster's topics to be as they should be. Pure: no network.

A plan only ever adds. Fewer partitions would lose records; another replication moves data between brokers, which is for
a person to schedule with Kafka's own tools: both are refusals, and a plan with one is not applied at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rialto_common.bus.topics import TopicSpec


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as it is. `config`: Kafka's names and the values in force; `own`: those set on the topic itself."""

    partitions: int
    replication: int
    config: Mapping[str, str]
    own: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TopicChange:
    """What has to be done to one topic; `found` is None when it does not exist."""

    spec: TopicSpec
    found: TopicState | None
    partitions: int | None = None
    """How many there shall be, when more than there are."""
    config: Mapping[str, str] = field(default_factory=dict)
    """The settings that differ, as they shall be."""
    refusals: tuple[str, ...] = ()
    """Differences that are not for us to remove, each a sentence with its remedy."""

    @property
    def creates(self) -> bool:
        """Whether the topic does not exist yet."""
        return self.found is None

    @property
    def is_empty(self) -> bool:
        """Whether the topic is as it should be."""
        return not (self.creates or self.partitions or self.config or self.refusals)


def plan(wanted: Sequence[TopicSpec], found: Mapping[str, TopicState], *, keep_more: bool = False) -> list[TopicChange]:
    """Return one change for each wanted topic, in order; empty ones included.

    Args: found: by name, the topics that exist. keep_more: more partitions than wanted are left alone, not refused.
    """
    return [_change(spec, found.get(spec.name), keep_more=keep_more) for spec in wanted]


def _change(spec: TopicSpec, found: TopicState | None, *, keep_more: bool) -> TopicChange:
    if found is None:
        return TopicChange(spec, None)
    refusals = []
    if found.partitions > spec.partitions and not keep_more:
        refusals.append(
            f"{spec.name} has {found.partitions} partitions and cannot shrink to {spec.partitions}: "
            f"say --partitions {found.partitions}, or more"
        )
    if found.replication != spec.replication:
        refusals.append(
            f"{spec.name} has {found.replication} copies of each record, not {spec.replication}: "
            f"say --replication {found.replication}, or move its partitions with kafka-reassign-partitions first"
        )
    return TopicChange(
        spec,
        found,
        partitions=spec.partitions if found.partitions < spec.partitions else None,
        config={name: value for name, value in spec.config.items() if found.config.get(name) != value},
        refusals=tuple(refusals),
    )
