"""Which bus a data directory starts with."""

from pathlib import Path

import pytest

from rialto_cli.embedded import bus
from rialto_cli.embedded.bus import BusChoice
from rialto_cli.errors import OperatorError

URL = "kafka://broker.example:9092/staging"


def test_a_new_directory_uses_postgres_unless_told_otherwise(tmp_path: Path) -> None:
    assert bus.choose(tmp_path, None, None) == BusChoice("postgres")
    assert bus.choose(tmp_path, "kafka", None) == BusChoice("kafka")
    assert bus.choose(tmp_path, None, URL) == BusChoice("cluster", URL, prefix="staging")


def test_a_start_that_came_to_nothing_decides_nothing(tmp_path: Path) -> None:
    bus.choose(tmp_path, "kafka", None)
    assert bus.choose(tmp_path, "postgres", None).kind == "postgres"


@pytest.mark.parametrize("kind", ["postgres", "kafka"])
def test_a_directory_keeps_to_its_bus(tmp_path: Path, kind: str) -> None:
    bus.remember(tmp_path, BusChoice(kind))
    assert bus.choose(tmp_path, None, None).kind == kind
    assert bus.choose(tmp_path, kind, None).kind == kind


@pytest.mark.parametrize(
    ("remembered", "asked", "url"),
    [("postgres", "kafka", None), ("kafka", "postgres", None), ("postgres", None, URL), ("cluster", "kafka", None)],
)
def test_another_bus_is_refused(tmp_path: Path, remembered: str, asked: str | None, url: str | None) -> None:
    bus.remember(tmp_path, BusChoice(remembered))
    with pytest.raises(OperatorError) as refused:
        bus.choose(tmp_path, asked, url)
    assert "left behind" in refused.value.why
    assert "--data-dir" in refused.value.next_step


def test_a_directory_from_before_there_was_a_choice_uses_postgres(tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text("{}")
    with pytest.raises(OperatorError):
        bus.choose(tmp_path, "kafka", None)


def test_a_cluster_may_move_and_is_known_by_its_id(tmp_path: Path) -> None:
    first = bus.confirm_cluster(tmp_path, bus.choose(tmp_path, None, URL), "id-1")
    bus.remember(tmp_path, first)
    moved = bus.choose(tmp_path, None, "kafka://elsewhere.example:9092/staging")
    assert bus.confirm_cluster(tmp_path, moved, "id-1").url == "kafka://elsewhere.example:9092/staging"
    assert bus.choose(tmp_path, None, None).url == URL
    with pytest.raises(OperatorError, match="another Kafka cluster"):
        bus.confirm_cluster(tmp_path, moved, "id-2")


def test_another_prefix_on_the_same_cluster_is_another_bus(tmp_path: Path) -> None:
    bus.remember(tmp_path, BusChoice("cluster", URL, "id-1", "staging"))
    with pytest.raises(OperatorError, match="another Kafka cluster"):
        bus.choose(tmp_path, None, "kafka://broker.example:9092/live")


def test_an_unreadable_choice_is_not_guessed(tmp_path: Path) -> None:
    (tmp_path / bus.FILE_NAME).write_text("{")
    with pytest.raises(OperatorError, match="not clear which bus"):
        bus.choose(tmp_path, None, None)


def test_what_is_no_clusters_url_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="no Kafka cluster"):
        bus.choose(tmp_path, None, "postgres")
