"""Reading lists from files."""

import gzip
from pathlib import Path

import pytest

from rialto_compliance.adapters.list_files import FIXTURE, read_lists
from rialto_compliance.domain.errors import ListUnreadable

OWN = "list_id,entity_id,name,kind,aliases\nhouse,1,Zorvanth Quexelbraum,Person,Zorvant|Old Zor\n"
SDN = (
    '36,"AEROVIENTO LINES",-0- ,"CUBA",-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- \n'
    '40,"QUEXEL, Zor","individual","SDGT",-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- \n\x1a\n'
)
ALT = "ent_num,alt_type,alt_name,dev_holdout\n36,aka,AERO VIENTO,0\n999,aka,NOBODY LEFT,0\n"
UN = "un_ref,kind,role,name\nX.1,Person,primary,ZOR QUEXEL\nX.1,Person,aka-Good,Zor Q\n"
UK = "uk_id,kind,un_ref,role,name\nAFG1,Organization,X.9,primary,Quexel Exchange\n"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def test_every_documented_format_is_read_and_lists_merge_their_files(tmp_path: Path) -> None:
    paths = [
        write(tmp_path, name, text)
        for name, text in (("own.csv", OWN), ("sdn.csv.gz", SDN), ("alt.csv.gz", ALT), ("un.csv", UN), ("uk.csv", UK))
    ]
    lists = {read.list_id: {e.entity_id: (e.kind, e.names) for e in read.entities} for read in read_lists(paths)}
    assert lists == {
        "house": {"1": ("Person", ("Zorvanth Quexelbraum", "Zorvant", "Old Zor"))},
        "ofac": {"36": ("Organization", ("AEROVIENTO LINES", "AERO VIENTO")), "40": ("Person", ("QUEXEL, Zor",))},
        "un": {"X.1": ("Person", ("ZOR QUEXEL", "Zor Q"))},
        "uk": {"AFG1": ("Organization", ("Quexel Exchange",))},
    }


def test_the_version_follows_the_content_not_the_packing(tmp_path: Path) -> None:
    plain, packed = write(tmp_path, "own.csv", OWN), write(tmp_path, "own.csv.gz", OWN)
    changed = write(tmp_path, "changed.csv", OWN.replace("Old Zor", "Old Zorr"))
    versions = [read_lists([path])[0].version for path in (plain, packed, changed)]
    assert versions[0] == versions[1] != versions[2]
    assert len(versions[0]) == 64


@pytest.mark.parametrize("text", ["", "name\nZor\n", "list_id,entity_id,name,kind,aliases\n", OWN + "house,2\n"])
def test_a_file_that_cannot_be_trusted_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, "bad.csv", text)
    with pytest.raises(ListUnreadable, match=r"bad\.csv"):
        read_lists([path])


def test_a_missing_or_broken_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ListUnreadable, match=r"none\.csv"):
        read_lists([tmp_path / "none.csv"])
    broken = tmp_path / "broken.csv.gz"
    broken.write_bytes(b"not gzip")
    with pytest.raises(ListUnreadable, match=r"broken\.csv\.gz"):
        read_lists([broken])


def test_lists_that_name_nobody_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ListUnreadable, match=r"alt\.csv.*no entity"):
        read_lists([write(tmp_path, "alt.csv", ALT)])
    with pytest.raises(ListUnreadable):
        read_lists([])


def test_the_fixture_ships_forty_invented_entities() -> None:
    (fixture,) = read_lists([FIXTURE])
    assert (fixture.list_id, len(fixture.entities)) == ("fixture", 40)
    assert fixture.name_count > 55
