"""Every snippet of docs/guides is run, in order, against the platform, and prints what the guide shows."""

import re
from pathlib import Path

import pytest

from .running import Rialto
from .snippets import Reader, blocks, fits

ROOT = Path(__file__).parents[2]
GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
DONE_BY_THE_PLATFORM = ("make up", "source .venv/bin/activate")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_every_snippet_of_a_guide_does_what_it_says(rialto: Rialto, tmp_path: Path, guide: Path) -> None:
    with Reader(rialto, tmp_path, DONE_BY_THE_PLATFORM) as reader:
        assert reader.follow(guide.read_text()) >= 3


def test_the_guides_are_found_from_the_readmes_and_lead_nowhere_that_is_not() -> None:
    assert len(GUIDES) >= 5
    for page in (ROOT / "README.md", ROOT / "services" / "gateway" / "README.md"):
        for guide in GUIDES:
            assert f"docs/guides/{guide.name}" in page.read_text(), (page, guide)
    for guide in GUIDES:
        for target in LINK.findall(guide.read_text()):
            assert "://" in target or (guide.parent / target).exists(), (guide, target)


def test_a_snippet_that_fails_or_prints_something_else_is_noticed(rialto: Rialto, tmp_path: Path) -> None:
    def follow(page: str, name: str) -> None:
        (tmp_path / name).mkdir()
        with Reader(rialto, tmp_path / name, ()) as reader:
            reader.follow(page)

    follow(
        "```sh\nexport NAME=Ada\n```\n```python\nimport os\nprint(os.environ['NAME'])\n```\n```text\nA…a\n```\n", "good"
    )
    for number, page in enumerate(
        (
            "```sh\nfalse\n```\n",
            "```sh\necho one\n```\n```text\ntwo\n```\n",
            "```python\nprint('one')\n```\n```text\ntwo\n```\n",
        )
    ):
        with pytest.raises(AssertionError, match="line 1"):
            follow(page, f"bad-{number}")
    with pytest.raises(ZeroDivisionError):
        follow("```python\n1 / 0\n```\n", "broken")
    with pytest.raises(ValueError, match="neither run nor output"):
        list(blocks("```ruby\nputs 1\n```\n"))
    assert not fits("one … three", "one two")
