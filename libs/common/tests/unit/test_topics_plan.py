"""What `rialto topics apply` would change, without a cluster."""

from rialto_common.bus.topics import TopicSpec, wanted_topics
from rialto_common.bus.topics_plan import TopicChange, TopicState, plan

SPEC = TopicSpec("payments", 8, 3, {"retention.ms": "1000", "cleanup.policy": "delete"})


def change(partitions: int = 8, replication: int = 3, *, keep_more: bool = False, **config: str) -> TopicChange:
    in_force = {**SPEC.config, **{name.replace("_", "."): value for name, value in config.items()}}
    return plan([SPEC], {SPEC.name: TopicState(partitions, replication, in_force)}, keep_more=keep_more)[0]


def test_a_missing_topic_is_created() -> None:
    (created,) = plan([SPEC], {})
    assert created.creates
    assert not created.is_empty
    assert not created.refusals


def test_a_topic_as_it_should_be_needs_nothing() -> None:
    assert change().is_empty


def test_settings_that_nobody_asked_for_are_left_alone() -> None:
    assert change(segment_bytes="123").is_empty


def test_only_the_settings_that_differ_change() -> None:
    assert change(retention_ms="5").config == {"retention.ms": "1000"}


def test_partitions_are_added() -> None:
    added = change(partitions=6)
    assert added.partitions == 8
    assert not added.refusals


def test_partitions_are_never_taken_away() -> None:
    refused = change(partitions=12)
    assert refused.partitions is None
    assert "cannot shrink" in refused.refusals[0]
    assert "--partitions 12" in refused.refusals[0]


def test_more_partitions_than_asked_for_may_stay() -> None:
    assert change(partitions=12, keep_more=True).is_empty


def test_another_replication_is_refused() -> None:
    (refusal,) = change(replication=1).refusals
    assert "--replication 1" in refusal


def test_commits_wait_for_all_copies_but_one() -> None:
    def in_sync(replication: int) -> set[str]:
        return {spec.config["min.insync.replicas"] for spec in wanted_topics(replication=replication)}

    assert (in_sync(1), in_sync(2), in_sync(3)) == ({"1"}, {"1"}, {"2"})


def test_no_topic_is_compacted() -> None:
    assert {spec.config["cleanup.policy"] for spec in wanted_topics()} == {"delete"}
