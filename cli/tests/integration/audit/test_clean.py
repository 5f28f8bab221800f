"""A world that the real services made is clean, and an empty one is not."""

from rialto_cli.audit import books
from rialto_cli.testing import AnvilNode, Database

from .conftest import Scene


def test_the_books_of_a_consistent_world_hold(scene: Scene) -> None:
    audited = books.run(scene.database.dsn("auditor"), scene.anvil.url)
    assert audited.hold, audited.to_dict()
    assert all(book.checked for _, book in audited)


def test_an_empty_platform_does_not_pass(database: Database, anvil: AnvilNode) -> None:
    audited = books.run(database.dsn("auditor"), anvil.url, settle_seconds=0)
    assert not audited.hold
    assert {name: (book.checked, book.violations) for name, book in audited} == {f"I{n}": (0, 0) for n in range(1, 9)}
